import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Connection } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { isAlive } from '../../process/identity.ts'
import { findTemporal } from './find-temporal.ts'
import { startTemporal, type TemporalServer } from './start-temporal.ts'
import { prepareTemporalDirectory } from './temporal-directory.ts'

let program: string
let directory: string
let servers: TemporalServer[] = []

beforeAll(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  program = found.file
  directory = await mkdtemp(join(tmpdir(), 'belay-temporal-'))
}, 300_000)

afterEach(async () => {
  await Promise.all(servers.map((server) => server.stop(0)))
  servers = []
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

async function start(): Promise<TemporalServer> {
  const server = await startTemporal({ program, directory, log: join(directory, 'log') })
  servers.push(server)
  return server
}

async function ask<T>(server: TemporalServer, call: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: server.address })
  try {
    return await call(connection)
  } finally {
    await connection.close()
  }
}

test('answers when it is started and keeps histories for 30 days', async () => {
  const server = await start()
  const seconds = await ask(server, async ({ workflowService }) => {
    const { config } = await workflowService.describeNamespace({ namespace: 'default' })
    return config?.workflowExecutionRetentionTtl?.seconds?.toNumber()
  })
  expect(seconds).toBe(30 * 24 * 3600)
}, 60_000)

test('comes back at the same address with what it had acknowledged after a SIGKILL', async () => {
  const first = await start()
  await ask(first, ({ workflowService }) =>
    workflowService.startWorkflowExecution({
      namespace: 'default',
      workflowId: 'kept',
      requestId: 'kept',
      workflowType: { name: 'nobody' },
      taskQueue: { name: 'nobody' },
    }),
  )
  process.kill(first.identity.pid, 'SIGKILL')
  expect(await first.done).toMatchObject({ signal: 'SIGKILL' })
  const second = await start()
  expect(second.address).toBe(first.address)
  const found = await ask(second, ({ workflowService }) =>
    workflowService.describeWorkflowExecution({ namespace: 'default', execution: { workflowId: 'kept' } }),
  )
  expect(found.workflowExecutionInfo?.execution?.workflowId).toBe('kept')
}, 60_000)

test('leaves no process behind when it is stopped, and may be stopped twice', async () => {
  const server = await start()
  await server.stop()
  await server.stop()
  expect(isAlive(server.identity)).toBe(false)
}, 60_000)

test('takes another port when somebody else listens at the recorded one', async () => {
  const server = await start()
  const { port } = await prepareTemporalDirectory(directory)
  expect(`127.0.0.1:${String(port)}`).not.toBe(server.address)
}, 60_000)

test('says what the log says when the server does not come up', async () => {
  const broken = await mkdtemp(join(tmpdir(), 'belay-temporal-'))
  try {
    await writeFile(join(broken, 'temporal.db'), 'this is no database, it is a text that somebody wrote'.repeat(100))
    const starting = startTemporal({ program, directory: broken, log: join(broken, 'log') })
    await expect(starting).rejects.toMatchObject({
      code: 'unavailable',
      hint: expect.stringContaining('not a database') as string,
    })
  } finally {
    await rm(broken, { recursive: true, force: true })
  }
}, 60_000)

test('refuses a directory that another version of the server made, and leaves it alone', async () => {
  const old = await mkdtemp(join(tmpdir(), 'belay-temporal-'))
  try {
    await prepareTemporalDirectory(old, '1.31.2')
    const record = await readFile(join(old, 'server.json'), 'utf8')
    await expect(startTemporal({ program, directory: old, log: join(old, 'log') })).rejects.toMatchObject({ code: 'mismatch' })
    expect(await readFile(join(old, 'server.json'), 'utf8')).toBe(record)
  } finally {
    await rm(old, { recursive: true, force: true })
  }
})
