import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { placesOf, type Places } from '../src/config/places.ts'
import { adminTokenFile, runnerTokenFile } from '../src/config/token-files.ts'
import { openStore } from '../src/store/open-store.ts'
import type { Store } from '../src/store/store.ts'
import { postgresOfFile } from '../test/helpers/postgres.ts'
import { ensureCredentials } from './credentials.ts'

const postgresHere = postgresOfFile()

let places: Places
let store: Store
let said: object[]
const log = { info: (what: object) => void said.push(what), warn: (what: object) => void said.push(what) }
const cleanups: (() => Promise<void>)[] = []

beforeEach(async () => {
  said = []
  places = await makePlaces()
  store = await open(places.database)
})

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function makePlaces(): Promise<Places> {
  const data = await mkdtemp(join(tmpdir(), 'belay-credentials-'))
  cleanups.push(() => rm(data, { recursive: true, force: true }))
  return placesOf(data, { root: false })
}

async function open(database: string | { url: string }): Promise<Store> {
  const opened = await openStore({ ...places, database })
  cleanups.push(() => opened.close())
  return opened
}

async function roleOf(file: string): Promise<string | undefined> {
  return (await store.tokens.find(await readFile(file, 'utf8')))?.role
}

describe('ensureCredentials', () => {
  test('makes both tokens once, readable by us alone', async () => {
    await ensureCredentials(store, places, log)
    expect([await roleOf(adminTokenFile(places)), await roleOf(runnerTokenFile(places))]).toEqual(['admin', 'runner'])
    expect((await stat(adminTokenFile(places))).mode & 0o777).toBe(0o600)
    const before = await readFile(adminTokenFile(places), 'utf8')
    await ensureCredentials(store, places, log)
    expect(await readFile(adminTokenFile(places), 'utf8')).toBe(before)
    expect(said).toEqual([])
  })

  test('roles that start at once on a fresh data directory agree: what is written down is valid', async () => {
    const stores = [store, await open(places.database), await open(places.database)]
    await Promise.all(stores.map((one) => ensureCredentials(one, places, log)))
    expect([await roleOf(adminTokenFile(places)), await roleOf(runnerTokenFile(places))]).toEqual(['admin', 'runner'])
    expect((await store.tokens.list({})).items).toHaveLength(2)
  })

  test('an admin token that was made and never written down is replaced: a kill came between', async () => {
    await ensureCredentials(store, places, log)
    const lost = await readFile(adminTokenFile(places), 'utf8')
    await rm(adminTokenFile(places))
    await writeFile(`${adminTokenFile(places)}.pending`, '')
    await ensureCredentials(store, places, log)
    expect(await roleOf(adminTokenFile(places))).toBe('admin')
    expect(await store.tokens.find(lost)).toBeUndefined()
  })

  test('an admin who keeps the token elsewhere and removed the file keeps it valid', async () => {
    await ensureCredentials(store, places, log)
    const token = await readFile(adminTokenFile(places), 'utf8')
    await rm(adminTokenFile(places))
    await ensureCredentials(store, places, log)
    expect((await store.tokens.find(token))?.role).toBe('admin')
  })

  test('a token that the store does not know is replaced', async () => {
    await ensureCredentials(store, places, log)
    for (const file of [adminTokenFile(places), runnerTokenFile(places)]) await writeFile(file, 'bly_something-else')
    await ensureCredentials(store, places, log)
    expect([await roleOf(adminTokenFile(places)), await roleOf(runnerTokenFile(places))]).toEqual(['admin', 'runner'])
  })

  test('so are those of a data directory whose database was made anew', async () => {
    await ensureCredentials(store, places, log)
    store = await open(join(places.data, 'another.db'))
    await ensureCredentials(store, places, log)
    expect([await roleOf(adminTokenFile(places)), await roleOf(runnerTokenFile(places))]).toEqual(['admin', 'runner'])
  })

  test('a token that a person made in place of the first is left alone, and the file that is no longer valid is named', async () => {
    await ensureCredentials(store, places, log)
    const rotated = await store.tokens.create({ name: 'admin', role: 'admin' })
    await ensureCredentials(store, places, log)
    expect((await store.tokens.find(rotated))?.role).toBe('admin')
    expect(said).toEqual([{ token: 'admin', file: adminTokenFile(places) }])
  })

  test('machines that start at once on one database make one admin token; the others say where, and every runner has its own', async () => {
    const url = await (await postgresHere()).createDatabase()
    const machines = [places, await makePlaces(), await makePlaces()]
    const stores = await Promise.all(machines.map(() => open({ url })))
    store = stores[0] ?? store
    await Promise.all(machines.map((machine, index) => ensureCredentials(stores[index] ?? store, machine, log)))
    const admins = await Promise.all(machines.map((machine) => roleOf(adminTokenFile(machine)).catch(() => 'none')))
    expect(admins.filter((role) => role === 'none')).toHaveLength(2)
    const made = machines[admins.indexOf('admin')] ?? places
    const madeAt = expect.stringContaining(adminTokenFile(made)) as string
    expect(said).toEqual([1, 2].map(() => ({ token: 'admin', madeAt })))
    for (const machine of machines) expect(await roleOf(runnerTokenFile(machine))).toBe('runner')
  })
})
