/** A real Temporal says whom it hears from. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NativeConnection, Worker } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { until } from '../test/helpers/until.ts'
import { runnerQueue, taskQueues } from '../src/contract/task-queues.ts'
import { findTemporal } from '../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../src/embedded/temporal/start-temporal.ts'
import { findFreePort } from '../src/process/free-port.ts'
import { watchPolling, type PollingWatch } from './polling.ts'

let temporal: TemporalServer
let directory: string
let connection: NativeConnection
const watches: PollingWatch[] = []

beforeAll(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  directory = mkdtempSync(join(tmpdir(), 'belay-temporal-'))
  temporal = await startTemporal({ program: found.file, directory, log: join(directory, 'log') })
  connection = await NativeConnection.connect({ address: temporal.address })
}, 300_000)

afterEach(async () => {
  await Promise.all(watches.splice(0).map((watched) => watched.close()))
})

afterAll(async () => {
  await connection?.close()
  await temporal?.stop()
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
})

function watch(...args: Parameters<typeof watchPolling>): PollingWatch {
  const made = watchPolling(...args)
  watches.push(made)
  return made
}

async function withWorker(taskQueue: string, work: () => Promise<void>): Promise<void> {
  const worker = await Worker.create({ connection, taskQueue, activities: { noop: () => Promise.resolve() } })
  await worker.runUntil(work)
}

it('a worker that asks for work is well', async () => {
  await withWorker(runnerQueue('one'), async () => {
    const watched = watch({ role: 'runner', name: 'one' }, temporal)
    const isWell = await until('Temporal hears from it', async () => (await watched.findTrouble()) === undefined)
    expect(isWell).toBe(true)
  })
})

it('one that asks for the work of another queue is not', async () => {
  await withWorker(runnerQueue('two'), async () => {
    const two = watch({ role: 'runner', name: 'two' }, temporal)
    await until('Temporal hears from it', async () => (await two.findTrouble()) === undefined)
    const other = watch({ role: 'deployer' }, temporal)
    expect(await other.findTrouble()).toContain('does not hear from this worker on the queue deployer')
  })
})

it('activities do not count where workflows are the work', async () => {
  await withWorker(taskQueues.control, async () => {
    const watched = watch({ role: 'control' }, temporal)
    expect(await watched.findTrouble()).toContain('does not hear from this worker on the queue control')
  })
})

it('what was asked for before this process was started does not count', async () => {
  await withWorker(runnerQueue('three'), async () => {
    const before = watch({ role: 'runner', name: 'three' }, temporal)
    await until('Temporal hears from it', async () => (await before.findTrouble()) === undefined)
    const after = watch({ role: 'runner', name: 'three' }, temporal, Date.now() + 10_000)
    expect(await after.findTrouble()).toContain('does not hear')
  })
})

it('a Temporal that is away is said to be away', async () => {
  const address = `127.0.0.1:${String(await findFreePort())}`
  expect(await watch({ role: 'control' }, { address, namespace: 'default' }).findTrouble()).toContain(
    `${address} does not answer`,
  )
})
