/** People hold releases up: freeze windows, blocked releases and a look at a rollback, by the commands, while parts die. */
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { deploying, loadStepRow, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario
let second: Awaited<ReturnType<Scenario['start']>>

beforeAll(async () => {
  const env = 'env: { LEVEL: info, KEY: { from_secret: key } }'
  scenario = await startScenario({
    environments: { production: { more: env } },
    config: 'runners: { slots: 2 }\nsecrets: { key: { provider: env, name: SHOP_KEY, projects: [hello] } }\n',
    env: { SHOP_KEY: 'the value of the key' },
  })
  const first = await scenario.run(deploying({ version: 'v1' }))
  if (first.status !== 'succeeded') throw new Error(`the first release ended ${first.status}`)
})

afterAll(() => scenario.stop())

async function belay(...args: string[]) {
  const { url, token, directory } = scenario.system
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
  const env = { BELAY_URL: url, BELAY_TOKEN: token, NO_COLOR: '1' }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], { cwd: directory, env, reject: false })
  return { code: exitCode, out: stdout, err: stderr }
}

async function served(): Promise<string> {
  const response = await fetch(`${scenario.system.edge}/version`)
  return response.ok ? await response.text() : String(response.status)
}

/** The events of a run's history, by type. */
async function historyOf(runId: string): Promise<string[]> {
  const connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
  try {
    const handle = new Client({ connection }).workflow.getHandle(runWorkflowId(runId))
    const { events } = await handle.fetchHistory()
    return (events ?? []).map(({ timerFiredEventAttributes: fired }) =>
      typeof fired === 'object' && fired !== null ? 'timer fired' : '',
    )
  } finally {
    await connection.close()
  }
}

async function back(): Promise<void> {
  await until('the server answers again', () => scenario.system.client.ready().catch(() => undefined))
}

describe('a freeze', () => {
  test("holds a push's deployment over the death of main and of Temporal, past the step's own timeout, and lets it go", async () => {
    const frozen = await belay('freeze', 'production', '--for', '8h', '--time-zone', 'Europe/Berlin', '--reason', 'the party')
    expect(frozen).toMatchObject({ code: 0, err: '' })
    const id = /freeze (f-[0-9a-f]{8})/.exec(frozen.out)?.[1] ?? ''
    const reason = new RegExp(`frozen until .* CES?T [(]${id} by admin: the party[)]`)
    expect(frozen.out).toMatch(reason)

    // Long enough for the deployment, and over while it waits.
    second = await scenario.start(deploying({ version: 'v2', after: '    timeout: 15s\n' }))
    const { id: runId, number } = second
    const waits = await until('the run is told why it waits', async () =>
      (await scenario.events(runId)).find(({ body }) => body.type === 'waiting'),
    )
    expect(waits.body).toMatchObject({ for: expect.stringMatching(reason) as string })
    expect((await belay('show', String(number))).out).toMatch(new RegExp(`ship waits for production [(]${reason.source}[)]`))

    scenario.system.kill('main')
    await back()
    scenario.system.kill('temporal')
    await back()
    await until("the step's time has passed", async () =>
      (await historyOf(runId).catch(() => undefined))?.includes('timer fired'),
    )

    const { out } = await belay('envs', 'production')
    expect(out).toMatch(new RegExp(`now: ${reason.source}`))
    expect(out).toMatch(new RegExp(`queue:\\n {2}release 2 +run ${runId} +waits: ${reason.source}`))
    expect(out).toMatch(new RegExp(`freeze windows:\\n {2}${id} `))
    expect((await belay('envs')).out).toMatch(reason)
    expect(JSON.parse((await belay('envs', 'production', '--json')).out)).toMatchObject({ freezes: [{ id }], queued: 1 })

    const refused = await belay('deploy', 'production', '1')
    expect(refused).toMatchObject({ code: 1, err: expect.stringMatching(reason) as string })
    expect(refused.err).toContain('--force')
    expect(loadStepRow(await scenario.system.client.getRun({ id: runId }), 'ship')).toMatchObject({ status: 'running' })
    expect(await served()).toBe('v1')

    expect((await belay('unfreeze', 'production')).out).toBe(`production: freeze ${id} is lifted\nproduction is not frozen now`)
    expect(await scenario.end(runId)).toMatchObject({ status: 'succeeded' })
    expect(await served()).toBe('v2')
  })

  test('does not hold up what is forced, with a reason that the audit has', async () => {
    await belay('freeze', 'production', '--for', '8h')
    expect((await belay('deploy', 'production', '1', '--force')).code).toBe(2)
    expect(await belay('deploy', 'production', '1', '--force', '--reason', 'it burns')).toMatchObject({ code: 0 })
    expect(await served()).toBe('v1')
    expect((await belay('rollback', 'production', '--to', '2')).code).toBe(0)
    expect(await served()).toBe('v2')
    expect((await belay('unfreeze', 'production')).code).toBe(0)
    const { items } = await scenario.system.client.listAudit()
    expect(items.find(({ action }) => action === 'environment.deploy')?.data).toMatchObject({ force: true, reason: 'it burns' })
  })
})

describe('a look at a rollback', () => {
  test('says what would come, and changes nothing', async () => {
    const before = await scenario.system.client.getEnvironment('production')
    const { code, out } = await belay('rollback', 'production', '--dry-run')
    expect(code).toBe(0)
    expect(out).toMatch(/^production serves release 2 sha256:\w{64} \(2, commit \w{7}\)\nwould go to release 1 sha256:\w{64} /)
    expect(out).toContain('start       cold')
    expect(out).toContain('variables   as they are')
    expect(out).toMatch(/^ +migrations {2}none$/m)
    expect(out).not.toContain('the value of the key')
    const preview = JSON.parse((await belay('rollback', 'production', '--dry-run', '--json')).out) as object
    expect(preview).toMatchObject({ from: { number: 2 }, to: { number: 1 }, start: 'cold', variables: [], queue: [] })
    expect(await scenario.system.client.getEnvironment('production')).toEqual(before)
  })
})

describe('a blocked release', () => {
  test('that serves goes on until it is said to be taken away, and does not come again', async () => {
    const said = await belay('block', 'production', '2', '--reason', 'leaks memory')
    expect(said).toMatchObject({ code: 0, out: expect.stringContaining('it serves there now, and goes on') as string })
    expect(await served()).toBe('v2')
    const taken = await belay('block', 'production', '2', '--reason', 'leaks memory', '--rollback')
    expect(taken).toMatchObject({
      code: 0,
      out: expect.stringContaining('production goes to release 1\nproduction: deployed') as string,
    })
    expect(await served()).toBe('v1')
    expect((await belay('envs', 'production')).out).toMatch(/blocked:\n {2}release 2 {2}sha256:\w{12} {2}by admin: leaks memory/)

    const message = 'release 2 is blocked in production by admin: leaks memory'
    for (const args of [
      ['deploy', 'production', '2'],
      ['rollback', 'production', '--to', '2'],
      ['rollback', 'production', '--to', '2', '--dry-run'],
    ])
      expect(await belay(...args)).toMatchObject({ code: 1, err: expect.stringContaining(message) as string })
  })

  test('is refused to a run that makes the same image again', async () => {
    const { branch, sha } = second
    const { id } = await scenario.system.client.startRun({ project: 'hello', branch, sha })
    const run = await scenario.end(id)
    const [ship] = run.steps.filter(({ step }) => step === 'ship')
    expect(ship).toMatchObject({
      status: 'failed',
      reason: 'release 3 is blocked in production: it is the image of release 2, blocked by admin: leaks memory',
    })
    expect(run.status).toBe('rolled_back')
    expect(await served()).toBe('v1')
  })

  test('comes again once it is unblocked', async () => {
    expect(await belay('unblock', 'production', '2')).toMatchObject({ out: 'production: release 2 may come again' })
    expect((await belay('deploy', 'production', '2')).code).toBe(0)
    expect(await served()).toBe('v2')
  })
})
