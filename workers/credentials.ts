import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Places } from '../src/config/places.ts'
import { adminTokenFile, runnerTokenFile } from '../src/config/token-files.ts'
import { writeFileDurably } from '../src/process/durable-file.ts'
import { ensureAdminToken } from '../src/server/auth/first-token.ts'
import type { Role, Store } from '../src/store/store.ts'

/** Makes what is not there yet. A kill at any point of it leaves no token that nobody knows. */
export async function ensureCredentials(store: Store, places: Places): Promise<void> {
  await ensureAdminFile(store, adminTokenFile(places))
  await ensureRunnerFile(store, runnerTokenFile(places))
}

async function ensureAdminFile(store: Store, file: string): Promise<void> {
  const pending = `${file}.pending`
  const cutShort = existsSync(pending)
  if (existsSync(file)) {
    rmSync(pending, { force: true })
    return
  }
  writeFileDurably(pending, '')
  const first = await ensureAdminToken(store)
  // One was made and we were killed before it was written down: nobody has it, so another takes its place.
  const token = first ?? (cutShort ? await store.tokens.create({ name: 'admin', role: 'admin' }) : undefined)
  if (token !== undefined) writeFileDurably(file, token)
  rmSync(pending, { force: true })
}

async function ensureRunnerFile(store: Store, file: string): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  if (existsSync(file) && (await hasRole(store, readFileSync(file, 'utf8'), 'runner'))) return
  writeFileDurably(file, await store.tokens.create({ name: 'runner:local', role: 'runner' }))
}

async function hasRole(store: Store, token: string, role: Role): Promise<boolean> {
  return (await store.tokens.find(token))?.role === role
}
