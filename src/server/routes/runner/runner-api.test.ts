// Long because the routes that a runner knows share one front door, one run and one way of asking.
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  makePlan,
  makeProject,
  openFrontDoor,
  planDigest,
  startPlannedRun,
  stepEvent,
} from '../../../../test/helpers/front-door.ts'
import type { FrontDoor } from '../../../../test/helpers/front-door.ts'
import { logChunkBytes, runnerPaths, type SegmentTokenRequest } from '../../../contract/runner-api.ts'
import type { Run } from '../../../store/store.ts'

const registryConfig = { name: 'main', url: 'https://registry.example', username: 'ci', password: 'canary-of-a-registry' }
let door: FrontDoor
let run: Run
let runner: string

beforeEach(async () => {
  process.env['BELAY_TEST_SECRET'] = 'the value'
  const npmToken = {
    name: 'npm_token',
    provider: 'env' as const,
    reference: { name: 'BELAY_TEST_SECRET' },
    projects: ['shop'],
    branches: ['main'],
  }
  door = await openFrontDoor({
    config: { projects: { shop: makeProject() }, secrets: { npm_token: npmToken }, registries: { main: registryConfig } },
  })
  run = await startPlannedRun(door.store)
  runner = await door.token('runner')
})

afterEach(async () => {
  delete process.env['BELAY_TEST_SECRET']
  await door.close()
})

describe('presence, plans, closed', () => {
  test('a runner that reports is ACTIVE', async () => {
    const report = { runner: 'r1', slots: 2, busy: 1, labels: ['linux'] }
    expect((await post(runnerPaths.presence, report, runner)).status).toBe(204)
    const client = await door.client('viewer')
    expect((await client.listRunners()).items).toMatchObject([{ ...report, status: 'ACTIVE' }])
  })

  test('a plan is handed out by its digest, an unknown one is 404', async () => {
    expect(await get(runnerPaths.plan(planDigest), runner)).toMatchObject({ status: 200, body: makePlan() })
    expect((await get(runnerPaths.plan(`sha256:${'0'.repeat(64)}`), runner)).status).toBe(404)
  })

  test('closed names the runs that have ended, and those that were never here', async () => {
    const stranger = crypto.randomUUID()
    const answer = await post(runnerPaths.closed, { runIds: [run.id, stranger] }, runner)
    expect(answer).toMatchObject({ status: 200, body: { closed: [stranger] } })
  })
})

describe('segment tokens', () => {
  test('are bound to a run, to its own plan and to steps of it', async () => {
    expect((await ask()).status).toBe(200)
    expect((await ask({ steps: ['build', 'tell'] })).status).toBe(200)
    expect(await ask({ runId: crypto.randomUUID() })).toMatchObject({ status: 404 })
    expect(await ask({ planDigest: `sha256:${'0'.repeat(64)}` })).toMatchObject({ status: 409, body: { code: 'conflict' } })
    expect(await ask({ steps: ['build', 'other'] })).toMatchObject({ status: 403 })
  })

  test('live no longer than 24 hours, however long is asked for', async () => {
    const { body } = await ask({ lifetimeMs: 1_000 * 24 * 60 * 60 * 1000 })
    expect((body as { expiresAt: number }).expiresAt).toBeLessThanOrEqual(Date.now() + 24 * 60 * 60 * 1000)
  })

  test('of a lower epoch than the newest are refused as stale, and so are all their writes but the last of their logs', async () => {
    const old = await token({ epoch: 1 })
    await token({ epoch: 2 })
    expect(await ask({ epoch: 1 })).toMatchObject({ status: 409, body: { code: 'stale' } })
    const stale = { status: 409, body: { code: 'stale' } }
    expect(await post(runnerPaths.events, { events: [] }, old)).toMatchObject(stale)
    expect(await post(runnerPaths.secrets, { step: 'build', attempt: 1, part: 'step' }, old)).toMatchObject(stale)
    expect(await put(`${runnerPaths.log('build', 1)}?offset=0`, 'x', old)).toMatchObject({ status: 200 })
    expect(await put(runnerPaths.artifact(digestOf('x')), 'x', old)).toMatchObject(stale)
  })

  test('are given for a run that has ended too: its last output may come late', async () => {
    await door.store.runs.finish(run.id, { status: 'failed', at: 1 }, [])
    expect((await ask()).status).toBe(200)
  })
})

describe('a workspace that was given to a runner', () => {
  let second: string

  beforeEach(async () => {
    second = await door.token('runner', 'r2')
    const given = [run.id, 'r1'] as const
    await door.store.holders.note({ runId: given[0], epoch: 1, runner: given[1] })
    await post(runnerPaths.presence, { runner: 'r1', slots: 1, busy: 0, labels: [] }, runner)
  })

  const refused = { status: 403, body: { code: 'forbidden' } }

  test('opens nothing to the token of another runner, whatever it calls itself', async () => {
    expect((await ask()).status).toBe(200)
    expect(await ask({}, second)).toMatchObject(refused)
    expect(await ask({ runner: 'r2' }, second)).toMatchObject(refused)
    expect(await post(runnerPaths.presence, { runner: 'r1', slots: 1, busy: 0, labels: [] }, second)).toMatchObject(refused)
    expect(await ask({}, second)).toMatchObject(refused)
    expect((await ask()).status).toBe(200)
  })

  test('is not theirs under an epoch that was not given out, whoever asks', async () => {
    expect(await ask({ epoch: 2 })).toMatchObject(refused)
    expect((await door.store.runs.find(run.id))?.epoch).toBe(1)
  })

  test('is the next one’s once it is given to that one; the last logs of the first are taken, and nothing else', async () => {
    await door.store.holders.note({ runId: run.id, epoch: 2, runner: 'r2' })
    expect((await ask({ runner: 'r2', epoch: 2 }, second)).status).toBe(200)
    expect(await ask({ epoch: 2 })).toMatchObject(refused)
    const late = await token({ epoch: 1 })
    expect((await put(`${runnerPaths.log('build', 1)}?offset=0`, 'last words', late)).status).toBe(200)
    const stale = { status: 409, body: { code: 'stale' } }
    expect(await post(runnerPaths.events, { events: [] }, late)).toMatchObject(stale)
    expect(await post(runnerPaths.secrets, { step: 'build', attempt: 1, part: 'step' }, late)).toMatchObject(stale)
  })

  test('is opened by a token of its runner’s own name, too', async () => {
    const own = await door.token('runner', 'r1')
    expect((await ask({}, own)).status).toBe(200)
    // From then on that one speaks for it.
    expect(await ask()).toMatchObject(refused)
  })
})

describe('events', () => {
  const source = 'runner/r1'

  test('of the own steps are taken, twice is once', async () => {
    const segment = await token()
    const body = { events: [{ ...stepEvent(0, {}), source }] }
    expect((await post(runnerPaths.events, body, segment)).status).toBe(204)
    expect((await post(runnerPaths.events, body, segment)).status).toBe(204)
    expect(await door.store.runs.steps(run.id)).toMatchObject([{ step: 'build', status: 'running' }])
  })

  test.each([
    ['of another step', { ...stepEvent(0, { step: 'other' }), source }],
    ['in the name of control', stepEvent(0, {})],
    ['in the name of another runner', { ...stepEvent(0, {}), source: 'runner/r2' }],
    ['under another epoch', { ...stepEvent(0, { epoch: 2 }), source, epoch: 2 }],
    ['about the run', { source, epoch: 1, n: 0, at: 1, body: { type: 'run', status: 'succeeded' } }],
  ])('%s are refused, and nothing of the report is taken', async (_, event) => {
    const good = { ...stepEvent(5, {}), source }
    expect((await post(runnerPaths.events, { events: [good, event] }, await token())).status).toBe(403)
    expect(await door.store.runs.steps(run.id)).toEqual([])
  })
})

describe('secrets', () => {
  const request = { step: 'build', attempt: 1, part: 'step' }

  test('are those that the plan binds, after the step is marked as running and the audit is written', async () => {
    const answer = await post(runnerPaths.secrets, request, await token())
    expect(answer).toEqual({ status: 200, body: { env: { NPM_TOKEN: 'the value' } } })
    expect(await door.store.runs.steps(run.id)).toMatchObject([{ step: 'build', attempt: 1, status: 'running' }])
    const data = { run: run.id, step: 'build', attempt: 1, part: 'step', variable: 'NPM_TOKEN' }
    expect(await door.audited()).toMatchObject([{ actor: 'runner/r1', action: 'secret.read', subject: 'npm_token', data }])
    expect(door.logged()).not.toContain('the value')
    expect(JSON.stringify(await door.store.audit.list({}))).not.toContain('the value')
  })

  test('are not for another branch, whatever the runner says', async () => {
    run = await startPlannedRun(door.store, { branch: 'other', ref: 'refs/heads/other' })
    expect(await post(runnerPaths.secrets, request, await token())).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(await door.audited()).toEqual([])
  })

  test('are not for a step that the token is not for', async () => {
    const segment = await token({ steps: ['tell'] })
    expect((await post(runnerPaths.secrets, request, segment)).status).toBe(403)
  })

  test('are not for an attempt that has ended, nor for a run that has', async () => {
    const segment = await token()
    await door.store.runs.record(run.id, [stepEvent(0, { status: 'failed' })])
    expect((await post(runnerPaths.secrets, request, segment)).status).toBe(409)
    expect((await post(runnerPaths.secrets, { ...request, attempt: 2 }, segment)).status).toBe(200)
    await door.store.runs.finish(run.id, { status: 'failed', at: 1 }, [])
    expect((await post(runnerPaths.secrets, { ...request, attempt: 3 }, segment)).status).toBe(409)
  })

  test('that cannot be resolved are 424, with where they were looked for', async () => {
    delete process.env['BELAY_TEST_SECRET']
    const answer = await post(runnerPaths.secrets, request, await token())
    const detail = expect.stringContaining('BELAY_TEST_SECRET') as string
    expect(answer).toMatchObject({ status: 424, body: { status: 424, code: 'refused', detail } })
  })

  test('of a build come by their id, with the registry that the plan names and no other', async () => {
    const common = { needs: [], env: {}, timeoutMs: 1000, retry: { max: 0, on: [], exitCodes: [], backoffMs: 0 }, segment: 0 }
    const buildImage = {
      ...{ builder: 'docker' as const, repository: 'main/app', registry: 'main', tags: [], labels: {}, context: '.' },
      ...{ dockerfile: 'Dockerfile', args: {}, secrets: { npm: 'npm_token' } },
    }
    const plan = { ...makePlan(), steps: [{ ...common, id: 'build', kind: 'build_image' as const, buildImage }] }
    await door.store.runs.savePlan({ runId: run.id, plan, planDigest: digestOf('build') })
    const segment = await token({ planDigest: digestOf('build') })
    const registry = { name: 'main', url: 'https://registry.example', username: 'ci', password: 'canary-of-a-registry' }
    expect(await post(runnerPaths.secrets, request, segment)).toEqual({
      status: 200,
      body: { env: { npm: 'the value' }, registry },
    })
    const audit = await door.audited()
    expect(audit.map(({ action, subject }) => `${action} ${subject}`).toSorted()).toEqual([
      'registry.read main',
      'secret.read npm_token',
    ])
    expect(`${JSON.stringify(audit)}${door.logged()}`).not.toContain('canary-of-a-registry')
    const other = {
      ...plan,
      steps: [{ ...common, id: 'build', kind: 'build_image' as const, buildImage: { ...buildImage, registry: 'gone' } }],
    }
    await door.store.runs.savePlan({ runId: run.id, plan: other, planDigest: digestOf('gone') })
    expect((await post(runnerPaths.secrets, request, await token({ planDigest: digestOf('gone') }))).status).toBe(422)
  })

  test('that the configuration no longer has are 403', async () => {
    const plan = makePlan()
    const [step] = plan.steps
    const steps = step === undefined ? [] : [{ ...step, env: { X: { secret: 'constructor' } } }]
    await door.store.runs.savePlan({ runId: run.id, plan: { ...plan, steps }, planDigest: digestOf('other plan') })
    const segment = await token({ planDigest: digestOf('other plan') })
    expect((await post(runnerPaths.secrets, request, segment)).status).toBe(403)
  })
})

describe('logs', () => {
  const path = `${runnerPaths.log('build', 1)}?offset=`

  test('are taken at their end: an overlap is dropped, a gap answered with the end, a close may come alone', async () => {
    const segment = await token()
    expect(await put(`${path}0`, 'one\n', segment)).toEqual({ status: 200, body: { end: 4, truncated: false } })
    expect(await put(`${path}2`, 'e\ntwo\n', segment)).toEqual({ status: 200, body: { end: 8, truncated: false } })
    expect(await put(`${path}9`, 'x', segment)).toMatchObject({ status: 409, body: { end: 8, code: 'conflict' } })
    expect(await put(`${path}8&final=1`, '', segment)).toEqual({ status: 200, body: { end: 8, truncated: false } })
    expect(await door.store.logs.list(run.id, 'build')).toMatchObject([{ sizeBytes: 8, closed: true, epoch: 1, part: 'step' }])
  })

  test('keep what an undo prints apart', async () => {
    expect((await put(`${path}0&part=undo`, 'undone', await token())).status).toBe(200)
    expect(await door.store.logs.list(run.id, 'build')).toMatchObject([{ part: 'undo' }])
  })

  test('are refused for a step of another segment, in pieces over 1 MiB, and as anything but bytes', async () => {
    const segment = await token()
    expect((await put(`${runnerPaths.log('tell', 1)}?offset=0`, 'x', segment)).status).toBe(403)
    expect((await put(`${path}0`, 'x'.repeat(logChunkBytes + 1), segment)).status).toBe(413)
    expect((await put(`${path}0`, '{}', segment, 'application/json')).status).toBe(415)
  })
})

describe('artifacts', () => {
  test('are kept under their digest and handed out again, to the runner and to segments', async () => {
    const segment = await token()
    const bytes = 'x'.repeat(3_000_000)
    const path = runnerPaths.artifact(digestOf(bytes))
    expect((await put(path, bytes, segment)).status).toBe(201)
    expect((await put(path, bytes, segment)).status).toBe(200)
    for (const who of [runner, segment]) {
      const response = await fetch(`${await door.listen()}${path}`, { headers: { authorization: `Bearer ${who}` } })
      expect(digestOf(await response.text())).toBe(digestOf(bytes))
    }
  })

  test('with other bytes than their digest says are 422 and are not kept', async () => {
    const path = runnerPaths.artifact(digestOf('right'))
    expect(await put(path, 'wrong', await token())).toMatchObject({ status: 422, body: { code: 'mismatch' } })
    expect((await get(path, runner)).status).toBe(404)
  })
})

function ask(changes: Partial<SegmentTokenRequest> = {}, by = runner) {
  const request = { runner: 'r1', runId: run.id, epoch: 1, planDigest, steps: ['build'], lifetimeMs: 60_000 }
  return post(runnerPaths.segments, { ...request, ...changes }, by)
}

async function token(changes: Partial<SegmentTokenRequest> = {}): Promise<string> {
  const { status, body } = await ask(changes)
  expect(status).toBe(200)
  return (body as { token: string }).token
}

interface Answer {
  status: number
  body: unknown
}

async function send(path: string, init: RequestInit, bearer: string, type?: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${bearer}`, ...(type === undefined ? {} : { 'content-type': type }) }
  const response = await fetch(`${await door.listen()}${path}`, { ...init, headers })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
}

function get(path: string, bearer: string): Promise<Answer> {
  return send(path, {}, bearer)
}

function post(path: string, body: unknown, bearer: string): Promise<Answer> {
  return send(path, { method: 'POST', body: JSON.stringify(body) }, bearer, 'application/json')
}

function put(path: string, body: string, bearer: string, type = 'application/octet-stream'): Promise<Answer> {
  return send(path, { method: 'PUT', body }, bearer, type)
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
