/** An environment's workflow is ended from outside, at every point of its work: afterwards one intended release serves, and is what is on record. */
import { randomUUID } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { environmentWorkflowId, runWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { Deployment } from '../../src/domain/environment.ts'
import { BelayError } from '../../src/domain/errors.ts'
import { createKeeperClient } from '../../src/drivers/targets/keeper-client.ts'
import { keeperSocket } from '../../src/embedded/keeper/keeper-socket.ts'
import { repeatAfterMs } from '../../src/workflows/answers.ts'
import { deploying, loadStepRow, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

const names = ['stage', 'landed', 'undo', 'back', 'held', 'told', 'away', 'blocked'] as const
type Name = (typeof names)[number]

let scenario: Scenario
let connection: Connection
let temporal: Client

beforeAll(async () => {
  scenario = await startScenario({ environments: [...names], config: 'runners: { slots: 8 }\n' })
  connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
  temporal = new Client({ connection })
})

afterAll(async () => {
  await connection?.close()
  await scenario?.stop()
})

async function served(environment: Name): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

let commits: Promise<unknown> = Promise.resolve()

/** The stories are told side by side, and share one checkout: one commit after the other. */
function start(pipeline: string): Promise<{ id: string }> {
  const started = commits.then(() => scenario.start(pipeline))
  commits = started.catch(() => undefined)
  return started
}

async function release(environment: Name, version: string, entrypoint?: string): Promise<string> {
  const { id } = await start(deploying({ version, environment, ...(entrypoint === undefined ? {} : { entrypoint }) }))
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('succeeded')
  return id
}

/** Never listens, so that it is checked for as long as its health may take. */
const mute = '[node, -e, "setInterval(() => {}, 1000)"]'

function checkedForLong(environment: Name): string {
  return deploying({ version: 'new', environment, entrypoint: mute }).replace('timeout: 5s', 'timeout: 60s')
}

async function phaseOf(runId: string, phase: string): Promise<void> {
  await until(`${phase} has begun`, async () =>
    (await scenario.events(runId)).some(({ body }) => body.type === 'deployment' && body.phase === phase),
  )
}

async function terminate(environment: Name): Promise<void> {
  await temporal.workflow.getHandle(environmentWorkflowId(environment)).terminate('from outside')
}

function keeper() {
  return createKeeperClient(keeperSocket(join(scenario.system.data, 'keeper')))
}

const View = z.object({ fence: z.number(), active: z.string().optional(), instances: z.array(z.object({ digest: z.string() })) })
const seenBy = (environment: Name) => keeper().call(View, 'GET', `/environments/${environment}`)

/** What serves, what is on record as serving, and what runs are one and the same release of that run. */
async function expectOnly(environment: Name, runId: string): Promise<void> {
  const { current, active } = await scenario.system.client.getEnvironment(environment)
  expect(active).toBeUndefined()
  expect(current?.release.runId).toBe(runId)
  const seen = await seenBy(environment)
  const digest = current?.release.image.digest
  expect(seen.active).toBe(digest)
  expect(seen.instances.map((instance) => instance.digest)).toEqual([digest])
}

async function rowsOf(environment: Name): Promise<Deployment[]> {
  return (await scenario.system.client.listDeployments(environment)).items
}

test.concurrent('while its release is staged and checked: that is stopped, and what served serves on', async () => {
  const old = await release('stage', 'old')
  const { id } = await start(checkedForLong('stage'))
  await phaseOf(id, 'check')
  await terminate('stage')
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(await served('stage')).toBe('old')
  await expectOnly('stage', old)
})

test.concurrent('while traffic was switched, which nobody wrote down: it goes back to what is on record', async () => {
  const old = await release('landed', 'old')
  const { id } = await start(checkedForLong('landed'))
  await phaseOf(id, 'check')
  await terminate('landed')
  // As an `activate` that was under way: it reaches the keeper, and its answer nobody.
  const { fence, instances, active } = await seenBy('landed')
  const digest = instances.find((instance) => instance.digest !== active)?.digest
  await keeper().call(z.unknown(), 'POST', '/environments/landed/activate', { fence, operationId: 'landed/activate', digest })
  expect((await seenBy('landed')).active).toBe(digest)
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(await served('landed')).toBe('old')
  await expectOnly('landed', old)
})

test.concurrent('while something was taken back: it is taken back to its end, and its run learns of it', async () => {
  const old = await release('undo', 'old')
  const hold = `  late: { commands: ['while [ ! -e NOTES/undo ]; do sleep 0.1; done', 'false'] }\n`
  const { id } = await start(deploying({ version: 'new', environment: 'undo', after: hold }))
  const isDeployed = async (): Promise<boolean> => {
    const { steps } = await scenario.system.client.getRun({ id })
    return steps.some(({ step, status }) => step === 'late' && status === 'running')
  }
  await until('it was deployed', isDeployed)
  // The way back waits for the old image: its program is not to be started again without it.
  const { history } = await scenario.system.client.getEnvironment('undo')
  const digest = history.find((one) => one.release.runId === old)?.release.image.digest ?? 'sha256:none'
  const manifest = join(scenario.system.data, 'images/hello/app/blobs/sha256', digest.slice('sha256:'.length))
  renameSync(manifest, `${manifest}-away`)
  writeFileSync(join(scenario.notes, 'undo'), '')
  await phaseOf(id, 'undo')
  await terminate('undo')
  renameSync(`${manifest}-away`, manifest)
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(await served('undo')).toBe('old')
  await expectOnly('undo', old)
  expect((await rowsOf('undo')).filter(({ runId }) => runId === id).map(({ kind, status }) => `${kind}: ${status}`)).toEqual([
    'undo: deployed',
    'deploy: deployed',
  ])
})

test.concurrent("while a person's rollback was under way: that is taken back", async () => {
  const flag = join(scenario.notes, 'slow')
  // Asked for again it would take for ever to be healthy.
  const entrypoint = `[sh, -c, "test ! -e ${flag} || sleep 600; exec node app/app.cjs slow"]`
  await release('back', 'slow', entrypoint)
  const newest = await release('back', 'newest')
  writeFileSync(flag, '')
  await scenario.system.client.rollback('back', {}, randomUUID())
  await until('the rollback has staged', async () => (await seenBy('back')).instances.length === 2)
  await terminate('back')
  rmSync(flag)
  // Whatever is said to it starts it afresh: here a request that it refuses, once it is there again.
  const refusal = await until('it answers', async () => {
    const said = await scenario.system.client.rollback('back', { to: '999' }, randomUUID()).catch((error: unknown) => error)
    return said instanceof BelayError && said.retryable ? undefined : said
  })
  expect(refusal).toMatchObject({ code: 'not_found' })
  await until('it has recovered', async () =>
    (await rowsOf('back')).some(({ kind, status }) => kind === 'rollback' && status === 'failed'),
  )
  expect(await served('back')).toBe('newest')
  await expectOnly('back', newest)
})

test.concurrent('above a release that its run has yet to settle: that serves on, and its run succeeds', async () => {
  await release('held', 'old')
  const hold = `  hold: { commands: ['while [ ! -e NOTES/go ]; do sleep 0.1; done'] }\n`
  const provisional = await start(deploying({ version: 'held', environment: 'held', after: hold }))
  await until('it serves', async () => (await served('held')) === 'held')
  await until('its run goes on', async () => {
    const { steps } = await scenario.system.client.getRun(provisional)
    return steps.some(({ step, status }) => step === 'hold' && status === 'running')
  })
  const later = await start(checkedForLong('held'))
  await phaseOf(later.id, 'check')
  await terminate('held')
  const run = await scenario.end(later.id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(await served('held')).toBe('held')
  writeFileSync(join(scenario.notes, 'go'), '')
  expect(await scenario.end(provisional.id)).toMatchObject({ status: 'succeeded' })
  await expectOnly('held', provisional.id)
})

/** Whatever is said to it starts it afresh; and nobody has to wait for the janitor. */
async function startAfresh(environment: Name): Promise<void> {
  await until('it answers', async () => {
    const said = await scenario.system.client.rollback(environment, { to: '999' }, randomUUID()).catch((error: unknown) => error)
    return said instanceof BelayError && !said.retryable
  })
}

/** How often a run has asked an environment to deploy, so far. */
async function requestsOf(runId: string): Promise<number> {
  const { events = [] } = await temporal.workflow.getHandle(runWorkflowId(runId)).fetchHistory()
  const told = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: task }) =>
    task?.activityType?.name === 'tellEnvironment' ? (task.input?.payloads ?? []) : [],
  )
  return told.filter(({ data }) =>
    Buffer.from(data ?? [])
      .toString()
      .includes('"type":"deploy"'),
  ).length
}

test.concurrent('its runs need not ask again by themselves: told is that it was not the fault of the release', async () => {
  await release('told', 'old')
  const { id } = await start(checkedForLong('told'))
  await phaseOf(id, 'check')
  const queued = await start(deploying({ version: 'queued', environment: 'told' }))
  await until('it is queued', async () => (await scenario.system.client.getEnvironment('told')).queue.length === 1)
  const since = Date.now()
  await terminate('told')
  await startAfresh('told')
  await until('the one that waits has said it again', async () => (await requestsOf(queued.id)) === 2)
  expect(Date.now() - since).toBeLessThan(repeatAfterMs(0))
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  const { status, reason, startedAt = 0, endedAt = 0 } = loadStepRow(run, 'ship')
  expect({ status, reason }).toEqual({ status: 'errored', reason: 'its workflow was ended from outside' })
  expect(endedAt - startedAt).toBeLessThan(repeatAfterMs(0))
  expect(await scenario.end(queued.id)).toMatchObject({ status: 'succeeded' })
  await expectOnly('told', queued.id)
})

test.concurrent('above a release that its run has yet to settle and a person has blocked: to the newest kept one', async () => {
  const old = await release('blocked', 'old')
  const hold = `  hold: { commands: ['while [ ! -e NOTES/blocked ]; do sleep 0.1; done'] }\n`
  const provisional = await start(deploying({ version: 'bad', environment: 'blocked', after: hold }))
  await until('it serves', async () => (await served('blocked')) === 'bad')
  const later = await start(checkedForLong('blocked'))
  await phaseOf(later.id, 'check')
  const { current } = await scenario.system.client.getEnvironment('blocked')
  await scenario.system.client.block('blocked', { release: String(current?.release.number) }, randomUUID())
  await terminate('blocked')
  expect(await scenario.end(later.id)).toMatchObject({ status: 'rolled_back' })
  expect(await served('blocked')).toBe('old')
  writeFileSync(join(scenario.notes, 'blocked'), '')
  expect(await scenario.end(provisional.id)).toMatchObject({ status: 'rolled_back' })
  await expectOnly('blocked', old)
})

// After the others: it takes the target away from all of them.
test(
  'while its target is away: the new owner waits for it, says so, and goes on when it is back',
  { timeout: 240_000 },
  async () => {
    const old = await release('away', 'old')
    const { id } = await start(checkedForLong('away'))
    await phaseOf(id, 'check')
    await terminate('away')
    const socket = keeperSocket(join(scenario.system.data, 'keeper'))
    renameSync(socket, `${socket}-away`)
    const waits = await until(
      'it waits',
      async () => {
        const { active } = await scenario.system.client.getEnvironment('away')
        return active?.reason?.includes('waiting for the target') === true ? active : undefined
      },
      120_000,
    )
    expect(waits.release.runId).toBe(id)
    renameSync(`${socket}-away`, socket)
    const run = await scenario.end(id)
    expect(run.status, run.reason).toBe('rolled_back')
    expect(loadStepRow(run, 'ship').reason).toBe('its workflow was ended from outside')
    expect(await served('away')).toBe('old')
    await expectOnly('away', old)
  },
)
