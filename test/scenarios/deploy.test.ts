/** A person puts releases into an environment: with the commands that people use, under traffic. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { runWorkflowId } from '../../src/contract/workflow-ids.ts'
import type { Deployment } from '../../src/domain/environment.ts'
import type { Release } from '../../src/domain/release.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { findQuietPort } from '../helpers/quiet-port.ts'
import { deploying, outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { startTraffic, type TrafficProcess } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario
let one: Release
let two: Release

beforeAll(async () => {
  // After its own environments: one that its project may not deploy to.
  const locked = `  locked: { target: process, edge: { listen: "127.0.0.1:${String(await findQuietPort())}" }, health: { http: /healthz } }\n`
  scenario = await startScenario({ config: `${locked}runners: { slots: 2 }\n` })
  one = await release(deploying({ version: 'v1' }))
  two = await release(deploying({ version: 'v2' }))
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

async function deployments(): Promise<Deployment[]> {
  return (await scenario.system.client.listDeployments('production')).items
}

/** The release that a run of this pipeline makes. */
async function release(pipeline: string): Promise<Release> {
  const run = await scenario.run(pipeline)
  expect(run.status, run.reason).toBe('succeeded')
  const { items } = await scenario.system.client.listReleases()
  const made = items.find(({ runId }) => runId === run.id)
  if (made === undefined) throw new Error(`run ${String(run.number)} has made no release`)
  return made
}

/** One that no run deploys. */
function undeployed(entrypoint: string): Promise<Release> {
  const [image = ''] = deploying({ version: '', entrypoint }).split('  ship:')
  return release(`${image}  candidate: { release: { from: [image] } }\n`)
}

async function underTraffic(work: (traffic: TrafficProcess) => Promise<void>): Promise<void> {
  const traffic = startTraffic(`${scenario.system.edge}/version`)
  try {
    await work(traffic)
  } finally {
    traffic.kill()
  }
}

describe('a release that a person deploys', () => {
  test('the older by number and the newer by digest, serves without a failed request, and is kept', async () => {
    await underTraffic(async (traffic) => {
      const back = await belay('deploy', 'production', String(one.number), '--reason', 'for the demo')
      expect(back).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/production serves release 1$/) })
      expect(await served()).toBe('v1')
      const forth = await belay('deploy', 'production', two.image.digest, '--json')
      expect(forth.code).toBe(0)
      expect(JSON.parse(forth.out)).toMatchObject({ release: two.number, deployment: { kind: 'deploy', status: 'deployed' } })
      expect(await served()).toBe('v2')
      const counts = await traffic.stop()
      expect(counts.failures).toEqual([])
      expect(Object.keys(counts.versions).toSorted()).toEqual(['v1', 'v2'])
    })
    const { current, history } = await scenario.system.client.getEnvironment('production')
    expect(current?.release.number).toBe(two.number)
    expect(history.map((entry) => [entry.release.number, entry.status])).toEqual([1, 2, 1, 2].map((number) => [number, 'kept']))
    const [, older] = await deployments()
    expect(older).toMatchObject({ kind: 'deploy', actor: { name: 'admin' }, reason: 'for the demo', release: { number: 1 } })
    expect(older).not.toHaveProperty('runId')
    const { items } = await scenario.system.client.listAudit()
    const audited = items
      .filter(({ action }) => action === 'environment.deploy')
      .map(({ subject, data }) => [subject, data['release']])
    expect(audited).toEqual([2, 1].map((number) => ['production', number]))
    expect((await belay('releases')).out).toMatch(/hello#2 .* production\nhello#1 .* ago$/)
  })

  test('that serves already is deployed again, verified, without a failed request', async () => {
    await underTraffic(async (traffic) => {
      expect((await belay('deploy', 'production', `hello#${String(two.number)}`)).code).toBe(0)
      const counts = await traffic.stop()
      expect([counts.failures, Object.keys(counts.versions)]).toEqual([[], ['v2']])
    })
    expect((await deployments())[0]).toMatchObject({ kind: 'deploy', status: 'deployed', release: { number: two.number } })
  })

  test('twice with the same key is deployed once', async () => {
    const { client } = scenario.system
    const first = await client.deploy('production', { release: '1' }, 'the-same')
    await until('it serves', async () =>
      (await deployments()).some((it) => it.requestId === first.requestId && it.status === 'deployed'),
    )
    await client.deploy('production', { release: '2' }, 'another')
    await until('the other serves', async () => (await served()) === 'v2')
    expect(await client.deploy('production', { release: '1' }, 'the-same')).toEqual(first)
    await expect(client.deploy('production', { release: '2' }, 'the-same')).rejects.toMatchObject({ code: 'conflict' })
    // Whatever was asked for by mistake would be carried out before this one.
    expect((await belay('deploy', 'production', '2')).code).toBe(0)
    expect((await deployments()).filter(({ requestId }) => requestId === first.requestId)).toHaveLength(1)
  })

  test('while another is watched waits for that one, and interrupts nothing', async () => {
    const { id } = await scenario.start(deploying({ version: 'v3', bake: '4s' }))
    await until('the new one is watched', async () => (await served()) === 'v3')
    expect((await belay('deploy', 'production', '1')).code).toBe(0)
    expect(await served()).toBe('v1')
    expect(await scenario.end(id)).toMatchObject({ status: 'succeeded' })
    const [chosen, watched] = await deployments()
    expect(watched).toMatchObject({ runId: id, status: 'deployed' })
    expect(chosen?.startedAt).toBeGreaterThanOrEqual(watched?.endedAt ?? Infinity)
    expect(await served()).toBe('v1')
  })
})

describe('a release that is no good, deployed by a person,', () => {
  test('is stopped before traffic reaches it; the command says why and is exit 3', async () => {
    const broken = await undeployed('[node, -e, "console.log(`no way`); process.exit(3)"]')
    await underTraffic(async (traffic) => {
      const { code, out } = await belay('deploy', 'production', String(broken.number))
      expect(code).toBe(3)
      expect(out).toMatch(/was taken back: the release did not become healthy: .*\n(.*\n)*production serves release 1$/)
      const counts = await traffic.stop()
      expect([counts.failures, Object.keys(counts.versions)]).toEqual([[], ['v1']])
    })
    expect((await deployments())[0]).toMatchObject({ kind: 'deploy', status: 'failed', release: { number: broken.number } })
  })

  test('once it serves goes back to the newest release that is kept, without a failed request', async () => {
    const program =
      'let n = 0; require(`http`).createServer((q, r) => r.writeHead(q.url === `/healthz` && n++ > 0 ? 503 : 200).end(`sick`)).listen(process.env.PORT)'
    const sick = await undeployed(`[node, -e, "${program}"]`)
    await underTraffic(async (traffic) => {
      const { code, out } = await belay('deploy', 'production', String(sick.number))
      expect(code).toBe(3)
      expect(out).toMatch(/was taken back: the release failed under traffic: .*\nproduction serves release 1$/)
      const counts = await traffic.stop()
      expect(counts.failures).toEqual([])
      expect(Object.keys(counts.versions).toSorted()).toEqual(['sick', 'v1'])
    })
    expect(await served()).toBe('v1')
    const { history } = await scenario.system.client.getEnvironment('production')
    expect(history.at(-1)).toMatchObject({ release: { number: sick.number }, status: 'undone' })
  })
})

describe('refused, and nothing changes:', () => {
  test.each([
    ['a release that is not there', ['production', '99'], 'hello: there is no release 99'],
    ['an environment that is not there', ['nowhere', '1'], 'there is no environment "nowhere"'],
    ['an environment that its project may not deploy to', ['locked', '1', '-p', 'hello'], 'hello may not deploy to locked'],
    [
      'a digest that is in no project of that environment',
      ['locked', `sha256:${'ab'.repeat(32)}`],
      'no project deploys to locked',
    ],
  ])('%s', async (_, args, message) => {
    const before = await scenario.system.client.listEnvironments()
    const { code, out, err } = await belay('deploy', ...args)
    expect({ code, out, err }).toEqual({ code: 2, out: '', err: expect.stringContaining(message) as string })
    expect(await scenario.system.client.listEnvironments()).toEqual(before)
  })
})

describe('a run with a settling point', () => {
  const accepted = '  accept: { commands: ["true"], settle: true }\n'
  const kept = async (number: number) => {
    const { current, history } = await scenario.system.client.getEnvironment('production')
    expect([current?.release.number, history.at(-1)?.release.number, history.at(-1)?.status]).toEqual([number, number, 'kept'])
  }
  const undos = ({ undo }: RunDetail) => undo.map(({ step, status }) => `${step}: ${status}`)
  async function releaseOf(runId: string): Promise<number> {
    const { items } = await scenario.system.client.listReleases()
    return items.find((made) => made.runId === runId)?.number ?? 0
  }

  /** Types of all activities that the workflow asked for. */
  async function activitiesOf(workflowId: string): Promise<string[]> {
    const connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
    try {
      const { events } = await new Client({ connection }).workflow.getHandle(workflowId).fetchHistory()
      return (events ?? []).flatMap((event) => event.activityTaskScheduledEventAttributes?.activityType?.name ?? [])
    } finally {
      await connection.close()
    }
  }

  test('that fails after it is taken back to it, and no further: production has kept the release already', async () => {
    const before = '  aside: { needs: [], commands: [sleep 1], undo: { commands: [echo aside >> NOTES/settled] } }\n'
    const after = `  accept: { needs: [ship], commands: ["true"], undo: { commands: [echo accept >> NOTES/settled] }, settle: true }
  announce: { commands: ['echo here > NOTES/announced', 'while [ ! -e NOTES/go ]; do sleep 0.1; done'], undo: { commands: [echo announce >> NOTES/settled] } }
  look: { commands: ["false"] }
`
    const pipeline = deploying({ version: 'settled', before, after }).replace('build_image:', 'needs: []\n    build_image:')
    const { id } = await scenario.start(pipeline)
    await scenario.noted('announced')
    const number = await releaseOf(id)
    await kept(number)
    writeFileSync(join(scenario.notes, 'go'), '')
    const run = await scenario.end(id)
    expect(run).toMatchObject({ status: 'rolled_back', reason: expect.stringContaining('step "look" failed') as string })
    expect(undos(run).toSorted()).toEqual(['accept: discharged', 'announce: done', 'aside: done', 'ship: discharged'])
    expect(scenario.readNote('settled')).toEqual(['announce', 'aside'])
    expect(await served()).toBe('settled')
    await kept(number)
  })

  test('that owes nothing after it ends failed, and goes on from there: what has settled is not done again', async () => {
    const after = `${accepted}  look: { commands: [test -e NOTES/mended] }\n`
    const run = await scenario.run(deploying({ version: 'mended', after }))
    expect([run.status, undos(run), await served()]).toEqual(['failed', ['ship: discharged'], 'mended'])
    expect((await belay('deploy', 'production', String(one.number))).code).toBe(0)
    writeFileSync(join(scenario.notes, 'mended'), '')
    await scenario.system.client.retryRun({ id: run.id })
    await until('it has gone on', async () => (await scenario.system.client.getRun({ id: run.id })).status !== 'failed')
    const resumed = await until('it ends again', async () => {
      const now = await scenario.system.client.getRun({ id: run.id })
      return isEndedRun(now.status) ? now : undefined
    })
    expect([resumed.status, resumed.reason]).toEqual(['succeeded', undefined])
    expect(outline(resumed)).toEqual([
      ...['image: succeeded', 'image_release: succeeded', 'ship: succeeded', 'accept: succeeded'],
      ...['look: failed', 'look: succeeded'],
    ])
    // What has become of the environment since is nothing to the run any more, so it is not asked.
    expect(await activitiesOf(runWorkflowId(run.id, 0))).toContain('tellEnvironment')
    expect(await activitiesOf(runWorkflowId(run.id, 1))).not.toContain('tellEnvironment')
    expect(await served()).toBe('v1')
  })

  test('whose release does not serve any more cannot settle: it stops there, and nothing after it begins', async () => {
    const after = `  hold: { commands: [echo here > NOTES/held, 'while [ ! -e NOTES/settle ]; do sleep 0.1; done'], undo: { commands: [echo hold >> NOTES/unsettled] } }
${accepted}  announce: { commands: [echo announced >> NOTES/unsettled] }
`
    const { id } = await scenario.start(deploying({ version: 'gone', after }))
    await scenario.noted('held')
    // It takes what it finds provisional along when it goes back.
    const later = await scenario.run(deploying({ version: 'later', after: '  late: { commands: ["false"] }\n' }))
    expect(later.status).toBe('rolled_back')
    writeFileSync(join(scenario.notes, 'settle'), '')
    const run = await scenario.end(id)
    expect(run).toMatchObject({
      status: 'rolled_back',
      reason: expect.stringMatching(/^production went back to release \d+ when a later deployment was taken back$/) as string,
    })
    expect(outline(run).slice(-2)).toEqual(['accept: succeeded', 'announce: skipped'])
    expect([undos(run), scenario.readNote('unsettled')]).toEqual([['ship: done', 'hold: done'], ['hold']])
    expect(await served()).toBe('v1')
  })
})
