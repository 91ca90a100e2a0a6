import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { placesOf, type Places } from '../src/config/places.ts'
import { adminTokenFile, runnerTokenFile } from '../src/config/token-files.ts'
import { openStore } from '../src/store/open-store.ts'
import type { Store } from '../src/store/store.ts'
import { ensureCredentials } from './credentials.ts'

let places: Places
let store: Store

beforeEach(async () => {
  places = placesOf(await mkdtemp(join(tmpdir(), 'belay-credentials-')), { root: false })
  store = await openStore(places)
})

afterEach(async () => {
  await store.close()
  await rm(places.data, { recursive: true, force: true })
})

async function roleOf(file: string): Promise<string | undefined> {
  return (await store.tokens.find(await readFile(file, 'utf8')))?.role
}

test('makes both tokens once, readable by us alone', async () => {
  await ensureCredentials(store, places)
  expect([await roleOf(adminTokenFile(places)), await roleOf(runnerTokenFile(places))]).toEqual(['admin', 'runner'])
  expect((await stat(adminTokenFile(places))).mode & 0o777).toBe(0o600)
  const before = await readFile(adminTokenFile(places), 'utf8')
  await ensureCredentials(store, places)
  expect(await readFile(adminTokenFile(places), 'utf8')).toBe(before)
})

test('an admin token that was made and never written down is replaced: a kill came between', async () => {
  const lost = await store.tokens.create({ name: 'admin', role: 'admin' })
  await writeFile(`${adminTokenFile(places)}.pending`, '')
  await ensureCredentials(store, places)
  expect(await roleOf(adminTokenFile(places))).toBe('admin')
  expect(await store.tokens.find(lost)).toBeUndefined()
})

test('an admin who keeps the token elsewhere and removed the file keeps it valid', async () => {
  await ensureCredentials(store, places)
  const token = await readFile(adminTokenFile(places), 'utf8')
  await rm(adminTokenFile(places))
  await ensureCredentials(store, places)
  expect((await store.tokens.find(token))?.role).toBe('admin')
})

test('a runner token that is not valid any more is replaced', async () => {
  await ensureCredentials(store, places)
  await writeFile(runnerTokenFile(places), 'bly_something-else')
  await ensureCredentials(store, places)
  expect(await roleOf(runnerTokenFile(places))).toBe('runner')
})
