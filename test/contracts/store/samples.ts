import { createHash, randomUUID } from 'node:crypto'
import { afterEach } from 'vitest'
import type { ReleaseRef } from '../../../src/domain/release.ts'
import type { RunEvent, RunEventBody, StepChange } from '../../../src/domain/run-event.ts'
import type { Trigger } from '../../../src/domain/trigger.ts'
import type { AcceptDelivery, LogKey, Run, Store } from '../../../src/store/store.ts'

export interface StoreUnderTest {
  store: Store
  /** The store's clock: moves only when the test says so. */
  clock: { now: number }
  /** Closes it and opens the same data again, without limits. */
  reopen(): Promise<Store>
  /** Leaves bytes past the log's committed end, as a process killed before its row was written does. */
  tearLog(key: LogKey, bytes: Buffer): Promise<void>
  /** Starts somebody else who makes this many writing transactions on the same data; resolves when they are through. */
  writeFromElsewhere(transactions: number): Promise<void>
  cleanup(): Promise<void>
}

export interface Limits {
  databasePages?: number
  logBytes?: number
}

export type OpenStoreUnderTest = (limits?: Limits) => Promise<StoreUnderTest>

/** Opens stores for the tests of the block it is called in, and cleans up after each. */
export function createOpener(open: OpenStoreUnderTest): OpenStoreUnderTest {
  const opened: StoreUnderTest[] = []
  afterEach(async () => {
    for (const { cleanup } of opened.splice(0)) await cleanup()
  })
  return async (limits) => {
    const store = await open(limits)
    opened.push(store)
    return store
  }
}

export const ana = { id: 'token:ana', name: 'ana' }

export function sha(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

export function digestOf(bytes: string | Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

export function makeTrigger(changes: Partial<Trigger> = {}): Trigger {
  return {
    event: 'push',
    source: 'hook',
    ref: 'refs/heads/main',
    branch: 'main',
    sha: sha('1'),
    actor: { id: 'github:1', name: 'ben' },
    title: 'a commit',
    ...changes,
  }
}

export function makeDelivery(deliveryId: string, changes: Partial<AcceptDelivery> = {}): AcceptDelivery {
  return {
    project: 'shop',
    forge: 'github',
    deliveryId,
    event: 'push',
    bodyDigest: digestOf(deliveryId),
    parsed: { trigger: makeTrigger() },
    runUrl: (runId) => `http://belay.test/runs/${runId}`,
    ...changes,
  }
}

export function startRun(store: Store, changes: { project?: string; key?: string; trigger?: Trigger } = {}): Promise<Run> {
  return store.runs.start({ project: 'shop', trigger: makeTrigger(), key: randomUUID(), ...changes })
}

/** An event of control's; `n` names it. */
export function makeEvent(n: number, body: RunEventBody, changes: Partial<RunEvent> = {}): RunEvent {
  return { source: 'run', epoch: 0, n, at: 1_000 + n, body, ...changes }
}

export function stepEvent(n: number, change: Partial<StepChange>, changes: Partial<RunEvent> = {}): RunEvent {
  const whole = { step: 'unit', attempt: 1, epoch: 1, status: 'running' as const, ...change }
  return makeEvent(n, { type: 'step', change: whole }, changes)
}

export function makeReleaseRef(run: Run, number = 1): ReleaseRef {
  return {
    id: randomUUID(),
    project: run.project,
    number,
    version: String(number),
    sha: run.trigger.sha,
    image: { repository: 'shop/app', digest: digestOf(String(number)) },
    runId: run.id,
  }
}

export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function* streamOf(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield Buffer.from(chunk)
  }
}

/** All items of a paged list, read page by page. */
export async function readAllPages<T>(
  list: (cursor?: string) => Promise<{ items: T[]; nextCursor?: string }>,
): Promise<{ items: T[]; pages: number }> {
  const items: T[] = []
  let cursor: string | undefined
  for (let pages = 1; ; pages += 1) {
    const page = await list(cursor)
    items.push(...page.items)
    cursor = page.nextCursor
    if (cursor === undefined) return { items, pages }
  }
}
