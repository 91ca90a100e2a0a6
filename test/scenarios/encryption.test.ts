/** What goes through Temporal is encrypted, keys are changed, and what was written before goes on being read. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { environmentWorkflowId, runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { workflowBundlePath } from '../../src/embedded/build-workflow-bundle.ts'
import { createDataConverter } from '../../src/payloads/data-converter.ts'
import { knownKeysOf } from '../../src/payloads/payload-keys.ts'
import { deploying, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

const keys = Object.fromEntries(['one', 'two', 'three'].map((name) => [name, randomBytes(32).toString('base64')]))
const keysOf = (...names: string[]) => names.map((name) => keys[name] ?? '')
let scenario: Scenario
let plainConfig: string

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'OFF', forward: {} } } })
  scenario = await startScenario()
  const { directory, config } = scenario.system
  mkdirSync(join(directory, 'keys'))
  for (const [name, key] of Object.entries(keys)) writeFileSync(join(directory, 'keys', name), `${key}\n`)
  plainConfig = readFileSync(config, 'utf8')
})

afterAll(() => scenario.stop())

/** The same system, with these keys; the first encrypts. */
async function restartWith(...names: string[]): Promise<void> {
  const { system } = scenario
  system.signal('up', 'SIGTERM')
  await system.ended()
  const references = names.map((name) => `{ from_file: keys/${name} }`).join(', ')
  writeFileSync(system.config, `${plainConfig}encryption: { key: [${references}] }\n`)
  await system.restart()
}

async function release(version: string, message: string, branch = 'main'): Promise<string> {
  const run = await scenario.run(deploying({ version }), { message, branch })
  expect(run.status, run.reason).toBe('succeeded')
  const served = await fetch(`${scenario.system.edge}/version`)
  expect(await served.text()).toBe(version)
  return run.id
}

async function historyOf(workflowId: string) {
  const connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
  try {
    return await new Client({ connection }).workflow.getHandle(workflowId).fetchHistory()
  } finally {
    await connection.close()
  }
}

/** All text and all bytes in it. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (typeof value === 'string') return value
  return typeof value === 'object' && value !== null ? Object.values(value).map(textOf).join('\n') : ''
}

/** Temporal's database with what is not yet checkpointed. */
function databaseHolds(needle: string): boolean {
  const directory = join(scenario.system.data, 'temporal')
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.some((file) => readFileSync(join(file.parentPath, file.name)).includes(needle))
}

async function replay(workflowId: string, ...names: string[]): Promise<void> {
  const history = await historyOf(workflowId)
  const dataConverter = createDataConverter(keysOf(...names))
  await Worker.runReplayHistory({ workflowBundle: { codePath: workflowBundlePath() }, dataConverter }, history, workflowId)
}

describe('with a key', () => {
  test('neither a history nor the database of Temporal holds what a run was given, or why it failed', async () => {
    const bare = await release('v1', 'needle-in-plain-sight')
    expect(textOf(await historyOf(runWorkflowId(bare)))).toContain('needle-in-plain-sight')
    expect(databaseHolds('needle-in-plain-sight')).toBe(true)

    await restartWith('one')
    const id = await release('v2', 'needle-of-the-message', 'needle-of-the-branch')
    const failed = await scenario.run('steps: { needle-of-the-mistake: 1 }\n', { message: 'a mistake' })
    expect(failed.reason).toContain('needle-of-the-mistake')
    const histories = await Promise.all(
      [runWorkflowId(id), runWorkflowId(failed.id), environmentWorkflowId('production')].map(historyOf),
    )
    for (const needle of ['needle-of-the-message', 'needle-of-the-branch', 'needle-of-the-mistake']) {
      for (const history of histories) expect(textOf(history)).not.toContain(needle)
      expect(databaseHolds(needle)).toBe(false)
    }
    await replay(runWorkflowId(bare), 'one')
    await replay(runWorkflowId(id), 'one')
    await replay(runWorkflowId(failed.id), 'one')
    await replay(environmentWorkflowId('production'), 'one')
  })

  test('a new key is put first, and what the older one wrote, or none, is read on', async () => {
    await restartWith('two', 'one')
    await release('v3', 'a third')
    await expect(replay(environmentWorkflowId('production'), 'two', 'one')).resolves.toBeUndefined()
  })

  test('a wrong key is named, nothing goes on without the right one, and nothing is lost', async () => {
    await restartWith('three')
    const { encrypts = '' } = knownKeysOf(keysOf('two'))
    const parts = () => readFileSync(join(scenario.system.data, 'parts/main.log'), 'utf8')
    await until('the missing key is named', () => parts().includes(`encrypted with the key ${encrypts}`))
    const { id } = await scenario.start(deploying({ version: 'v4' }), { message: 'waits', branch: 'main' })
    expect((await scenario.system.client.getRun({ id })).status).toBe('queued')
    await restartWith('two', 'one')
    expect(await scenario.end(id)).toMatchObject({ status: 'succeeded' })
  })
})
