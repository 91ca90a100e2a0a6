/** Nobody takes work that it could not read, or leaves what the others could not: keys are agreed upon first. */
import { setTimeout as pause } from 'node:timers/promises'
import { BelayError, messageOf } from '../src/domain/errors.ts'
import { knownKeysOf, missingKey } from '../src/payloads/payload-keys.ts'
import { createServerClient } from '../src/runner/server-client.ts'
import type { Store } from '../src/store/store.ts'

/** Of processes that reach the store. Throws `missing_part`, which names the key. */
export async function agreeOnKeys(store: Store, keys: readonly string[]): Promise<void> {
  const { missing } = await store.notePayloadKey(knownKeysOf(keys))
  if (missing !== undefined) throw missingKey(missing)
}

/** The same, and once it went well, nothing. */
export function agreeOnce(store: Store, keys: readonly string[]): () => Promise<void> {
  let agreed = false
  return async () => {
    if (!agreed) await agreeOnKeys(store, keys)
    agreed = true
  }
}

interface Log {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const againMs = 2_000

/** Of a runner: resolves once it knows the server's key, and the server knows its. */
export async function agreeWithServer(
  options: { serverUrl: string; token: string; payloadKeys?: readonly string[] },
  log: Log,
  signal = new AbortController().signal,
): Promise<void> {
  const ours = knownKeysOf(options.payloadKeys ?? [])
  const server = createServerClient(options)
  let said = ''
  while (!signal.aborted) {
    const trouble = await server.fetchPayloadKeys().then(
      (theirs) => findTrouble(ours, theirs),
      (error: unknown) => {
        // One that does not know the question has no keys.
        if (error instanceof BelayError && error.code === 'not_found') return findTrouble(ours, { knows: [] })
        return `the server does not tell its keys: ${messageOf(error)}`
      },
    )
    if (trouble === undefined) return
    // Asked again and again, and said once.
    if (trouble !== said) log.warn({ why: trouble }, 'no work is taken yet')
    said = trouble
    await pause(againMs, undefined, { signal }).catch(() => undefined) // Not wanted any more.
  }
}

type Keys = { encrypts?: string | undefined; knows: readonly string[] }

function findTrouble(ours: Keys, theirs: Keys): string | undefined {
  if (theirs.encrypts !== undefined && !ours.knows.includes(theirs.encrypts)) return messageOf(missingKey(theirs.encrypts))
  if (theirs.encrypts === undefined && ours.encrypts !== undefined) return 'this runner has a key, and its server has none'
  if (ours.encrypts !== undefined && !theirs.knows.includes(ours.encrypts))
    return `the server does not know the key ${ours.encrypts}, with which this runner encrypts`
  return undefined
}

/** Ends the process: whoever starts it again waits, as above, and the work waits for it. */
export function endFor(log: Pick<Log, 'error'>): (id: string) => void {
  return (id) => {
    log.error({ key: id }, messageOf(missingKey(id)))
    process.exit(1)
  }
}
