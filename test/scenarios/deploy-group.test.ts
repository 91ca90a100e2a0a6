/** A group of environments in one step: it goes out at its pace, and goes back together, each to its own release. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { createKeeperClient } from '../../src/drivers/targets/keeper-client.ts'
import { keeperSocket } from '../../src/embedded/keeper/keeper-socket.ts'
import { deploying, loadStepRow, startScenario, type Scenario } from '../helpers/scenario.ts'
import { startTraffic } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

const names = ['eu', 'us', 'asia'] as const
type Name = (typeof names)[number]

let scenario: Scenario

beforeAll(async () => {
  const more = (region: Name) => ({ more: `env: { REGION: ${region} }` })
  scenario = await startScenario({ environments: { eu: more('eu'), us: more('us'), asia: more('asia') } })
})

afterAll(() => scenario.stop())

async function served(environment: Name): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

const servedBy = async () => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await served(name)] as const)))

type Options = Omit<Parameters<typeof deploying>[0], 'environment'> & { environments?: readonly Name[]; atOnce?: number }

function group({ environments = names, atOnce, ...options }: Options): string {
  const pace = atOnce === undefined ? '' : `\n      at_once: ${String(atOnce)}`
  const text = deploying({ ...options, environment: 'GROUP' })
  return text.replace('environment: GROUP', `environments: [${environments.join(', ')}]${pace}`)
}

async function release(version: string, environment: Name): Promise<void> {
  const run = await scenario.run(deploying({ version, environment }))
  expect(run.status, run.reason).toBe('succeeded')
}

/** What the keeper has seen of an environment: every call on it raises the number. */
async function numberOf(environment: Name): Promise<number> {
  const keeper = createKeeperClient(keeperSocket(join(scenario.system.data, 'keeper')))
  return (await keeper.call(z.object({ fence: z.number() }), 'GET', `/environments/${environment}`)).fence
}

async function told(run: Pick<RunDetail, 'id'>): Promise<string[]> {
  const events = (await scenario.events(run.id)).map(({ body }) => body)
  return events.flatMap((body) =>
    body.type === 'deployment' && body.status === 'started' ? [`${body.environment} ${body.phase}`] : [],
  )
}

const deploymentsOf = async (environment: Name) => (await scenario.system.client.listDeployments(environment)).items

test('the second sickens: both go back to their own releases without a failed request, and a third gets no call', async () => {
  await release('old-eu', 'eu')
  await release('old-us', 'us')
  await release('old-asia', 'asia')
  const before = { number: await numberOf('asia'), deployments: await deploymentsOf('asia') }
  const traffic = names.map((name) => startTraffic(`${scenario.system.edgeOf(name)}/version`, 20))
  try {
    const { id } = await scenario.start(group({ version: 'new', atOnce: 1, bake: '2s' }))
    await until('the second one serves', async () => (await served('us')) === 'new')
    await fetch(`${scenario.system.edgeOf('us')}/sicken`)
    const run = await scenario.end(id)
    expect(run.status, run.reason).toBe('rolled_back')
    expect(await servedBy()).toEqual({ eu: 'old-eu', us: 'old-us', asia: 'old-asia' })

    const step = loadStepRow(run, 'ship')
    expect(step).toMatchObject({
      status: 'failed',
      reason: expect.stringMatching(/^us: the release failed under traffic/) as string,
    })
    // The first one had answered before the second was asked.
    const deployed = [{ environment: 'eu', requestId: `${id}/ship/eu/1`, deploymentId: expect.any(String) as string }]
    expect(step.result?.deployments).toEqual(deployed)
    expect(run.undo.map(({ step: of, environment, status }) => [of, environment, status])).toEqual([
      ['ship', 'eu', 'done'],
      ['ship', 'us', 'done'],
    ])
    const phases = await told(run)
    expect(phases.indexOf('eu retire')).toBeLessThan(phases.indexOf('us stage'))
    expect(phases.filter((phase) => phase.startsWith('asia'))).toEqual([])
    expect(await numberOf('asia')).toBe(before.number)
    expect(await deploymentsOf('asia')).toEqual(before.deployments)

    const counts = await Promise.all(traffic.map((one) => one.stop()))
    expect(counts.map(({ failures }) => failures)).toEqual([[], [], []])
    expect(counts.map(({ versions }) => Object.keys(versions).toSorted())).toEqual([
      ['new', 'old-eu'],
      ['new', 'old-us'],
      ['old-asia'],
    ])
  } finally {
    for (const one of traffic) one.kill()
  }
})

test('all at once, and a step that is tried again deploys only where it is not deployed yet', async () => {
  const ready = join(scenario.notes, 'ready')
  const wait = 'test $REGION != us -o -e NOTES/ready && exec node app/app.cjs v2'
  const { id } = await scenario.start(
    group({
      version: 'v2',
      entrypoint: `[sh, -c, "${wait}"]`,
      after: '    retry: { max: 3, on: [failed], backoff: 100ms }\n',
    }),
  )
  await until('the first attempt has failed', async () => (await told({ id })).includes('us undo'))
  writeFileSync(ready, '')
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('succeeded')
  expect(await servedBy()).toEqual({ eu: 'v2', us: 'v2', asia: 'v2' })
  const phases = await told(run)
  expect(phases.filter((phase) => phase === 'eu stage' || phase === 'asia stage').toSorted()).toEqual(['asia stage', 'eu stage'])
  expect(phases.filter((phase) => phase === 'us stage').length).toBeGreaterThan(1)
  const { attempt, result } = loadStepRow(run, 'ship')
  expect(result?.deployments?.map(({ environment, requestId }) => `${environment} ${requestId ?? ''}`)).toEqual([
    `eu ${id}/ship/eu/1`,
    `us ${id}/ship/us/${String(attempt)}`,
    `asia ${id}/ship/asia/1`,
  ])
  for (const name of names) {
    const { history } = await scenario.system.client.getEnvironment(name)
    expect(history.at(-1)).toMatchObject({ status: 'kept', release: { runId: id } })
  }
})

test('one that no longer serves when the run settles takes the others back, although they were kept', async () => {
  const go = join(scenario.notes, 'go')
  const hold = `  hold: { commands: ['while [ ! -e ${go} ]; do sleep 0.1; done'] }\n`
  const { id } = await scenario.start(group({ version: 'v3', after: hold }))
  await until('all serve it', async () => Object.values(await servedBy()).every((version) => version === 'v3'))
  await until('the run goes on', async () => {
    const { steps } = await scenario.system.client.getRun({ id })
    return steps.some(({ step, status }) => step === 'hold' && status === 'running')
  })
  // A later one is taken back, to what is kept: v3 is passed over in us, and in us alone.
  const later = await scenario.run(deploying({ version: 'v4', environment: 'us', after: "  late: { commands: ['false'] }\n" }))
  expect(later.status, later.reason).toBe('rolled_back')
  expect(await servedBy()).toEqual({ eu: 'v3', us: 'v2', asia: 'v3' })
  writeFileSync(go, '')
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(await servedBy()).toEqual({ eu: 'v2', us: 'v2', asia: 'v2' })
  const { history } = await scenario.system.client.getEnvironment('eu')
  expect(history.filter(({ release: { runId } }) => runId === id).map(({ status }) => status)).toEqual(['undone'])
})

test('what the first attempt deployed goes back when the second finds that a newer push has been to the rest', async () => {
  const before = await servedBy()
  const retry = '    retry: { max: 1, on: [failed], backoff: 20s }\n'
  const entrypoint = '[sh, -c, "test $REGION = eu && exec node app/app.cjs v5"]'
  const older = await scenario.start(group({ version: 'v5', environments: ['eu', 'us'], entrypoint, after: retry }))
  await until('the first attempt has failed', async () =>
    (await scenario.system.client.getRun(older)).steps.some(({ step, status }) => step === 'ship' && status === 'failed'),
  )
  expect(await served('eu')).toBe('v5')
  const newer = await scenario.run(deploying({ version: 'v6', environment: 'us' }), { branch: older.branch })
  expect(newer.status, newer.reason).toBe('succeeded')
  const run = await scenario.end(older.id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(loadStepRow(run, 'ship')).toMatchObject({ attempt: 2, status: 'failed' })
  expect(run.reason).toContain('a newer push')
  expect(await servedBy()).toEqual({ ...before, us: 'v6' })
})
