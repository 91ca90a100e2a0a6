import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { shortHash, type Places } from '../src/config/places.ts'
import { adminTokenFile, runnerTokenFile } from '../src/config/token-files.ts'
import { writeFileDurably } from '../src/process/durable-file.ts'
import { waitForHostLock, type HostLock } from '../src/process/host-lock.ts'
import type { FirstToken, Role, Store } from '../src/store/store.ts'

/**
 * Makes what is not there yet. A kill at any point of it leaves no token that nobody knows. Of several roles that start at
 * once on one data directory one does it while the others wait; of several machines with one database the first makes the
 * admin's token, and the others say where.
 */
export async function ensureCredentials(store: Store, places: Places, log: Pick<Logger, 'info' | 'warn'>): Promise<void> {
  const lock = await takeLock(`${places.data}/credentials.lock`)
  try {
    await ensureAdminFile(store, adminTokenFile(places), log)
    await ensureRunnerFile(store, places)
  } finally {
    lock.release()
  }
}

async function ensureAdminFile(store: Store, file: string, log: Pick<Logger, 'info' | 'warn'>): Promise<void> {
  const pending = `${file}.pending`
  const cutShort = existsSync(pending)
  const isThere = existsSync(file)
  if (isThere && (await hasRole(store, readFileSync(file, 'utf8'), 'admin'))) {
    rmSync(pending, { force: true })
    return
  }
  const origin = ensureOrigin(file)
  writeFileDurably(pending, '')
  const first = await store.tokens.createFirst({ name: adminName, role: 'admin', origin })
  const token = first.made ? first.token : await replaceOurs({ store, first, origin, isLost: cutShort || isThere })
  if (token !== undefined) writeFileDurably(file, token)
  else if (!first.made) tellWhere(log, first, file, isThere)
  rmSync(pending, { force: true })
}

const adminName = 'admin'

/**
 * One that we made and nobody has: we were killed before it was written down, or the file has something else in it. Never
 * one that another machine wrote down, or that a person made under this name.
 */
async function replaceOurs(input: {
  store: Store
  first: Exclude<FirstToken, { made: true }>
  origin: string
  isLost: boolean
}): Promise<string | undefined> {
  const { store, first, origin, isLost } = input
  const isOurs = first.name === adminName && (first.origin === origin || first.origin === '')
  return isLost && isOurs ? store.tokens.create({ name: adminName, role: 'admin', origin }) : undefined
}

function tellWhere(
  log: Pick<Logger, 'info' | 'warn'>,
  first: Exclude<FirstToken, { made: true }>,
  file: string,
  isThere: boolean,
): void {
  const known = { token: first.name, ...(first.origin === undefined ? {} : { madeAt: first.origin }) }
  if (isThere) log.warn({ ...known, file }, 'the admin token in this file is not valid; there is another')
  else log.info(known, 'there is an admin token already: none is made here')
}

/** Names this file for good, whatever the machine is called by then: the host's name, the path, and something of its own. */
function ensureOrigin(file: string): string {
  const kept = `${file}.origin`
  if (!existsSync(kept)) writeFileDurably(kept, `${hostname()}:${file} (${randomUUID()})`)
  return readFileSync(kept, 'utf8')
}

async function ensureRunnerFile(store: Store, places: Places): Promise<void> {
  const file = runnerTokenFile(places)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  if (existsSync(file) && (await hasRole(store, readFileSync(file, 'utf8'), 'runner'))) return
  // A name of its own for every data directory: two machines must not revoke each other's.
  const name = `runner:${hostname()}-${shortHash(ensureOrigin(file))}`
  writeFileDurably(file, await store.tokens.create({ name, role: 'runner' }))
}

async function hasRole(store: Store, token: string, role: Role): Promise<boolean> {
  return (await store.tokens.find(token))?.role === role
}

const lockTimeoutMs = 60_000

/** Whoever has it needs a moment; the kernel gives it back if they die. */
async function takeLock(file: string): Promise<HostLock> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  return await waitForHostLock(file, 'the data directory', AbortSignal.timeout(lockTimeoutMs))
}
