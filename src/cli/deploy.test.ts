/** The two commands against a real front door; how an environment ends a deployment is said by the test. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../test/helpers/front-door.ts'
import { emptyEnvironment } from '../domain/environment-rules.ts'
import type { Deployment, RollbackRequest } from '../domain/environment.ts'
import { ReleaseRef } from '../domain/release.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let door: FrontDoor
let asked: RollbackRequest[]

beforeEach(async () => {
  door = await openFrontDoor()
  asked = []
  await door.token('operator')
})

afterEach(() => door.close())

async function belay(...args: string[]) {
  const env = { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('operator') }
  const io = testIo({ cwd: door.directory, env })
  await runProgram(args, io)
  return io.result
}

async function release(letter: string, version?: string): Promise<ReleaseRef> {
  const run = await startPlannedRun(door.store)
  const image = { repository: 'shop/app', digest: `sha256:${letter.repeat(64)}` }
  const made = { project: 'shop', sha: letter.repeat(40), image, runId: run.id, artifacts: [], step: 'release' }
  return ReleaseRef.parse(await door.store.releases.create({ ...made, ...(version === undefined ? {} : { version }) }))
}

/** In the environment's place: it records this end. */
function ends(status: Deployment['status'], reason?: string, serves?: ReleaseRef): void {
  door.orchestrator.rollBack = async (request) => {
    asked.push(request)
    if (request.release === undefined) throw new Error('a deployment names its release')
    const { id: requestId, environment, release: wanted } = request
    const ended = { startedAt: 1, endedAt: 2, ...(reason === undefined ? {} : { reason }) }
    const deployment = {
      id: crypto.randomUUID(),
      environment,
      kind: 'deploy' as const,
      release: wanted,
      requestId,
      status,
      ...ended,
    }
    const current = serves === undefined ? {} : { current: { release: serves, deploymentId: 'd' } }
    await door.store.environments.record({ ...emptyEnvironment(environment, 1), revision: asked.length, ...current }, deployment)
    return { requestId, release: wanted.number, digest: wanted.image.digest }
  }
}

describe('releases', () => {
  test('are listed newest first, with where each serves', async () => {
    const first = await release('a')
    await release('b', 'v2 \u001b[31m')
    const state = { ...emptyEnvironment('staging', 1), current: { release: first, deploymentId: 'd1' } }
    await door.store.environments.record(state)
    const { out } = await belay('releases')
    const [head, newest, oldest] = out.split('\n')
    expect(head).toMatch(/^RELEASE +VERSION +COMMIT +DIGEST +MADE +SERVES$/)
    expect(newest).toMatch(/^shop#2 +v2 .* bbbbbbb +sha256:b{12} +\d+ s ago$/)
    expect(oldest).toMatch(/^shop#1 +1 +aaaaaaa +sha256:a{12} +\d+ s ago +staging$/)
    expect(out).not.toContain('\u001b')
    const { items } = JSON.parse((await belay('releases', '--json')).out) as { items: unknown[] }
    expect(items).toMatchObject([
      { number: 2, image: { digest: `sha256:${'b'.repeat(64)}` }, environments: [] },
      { number: 1, environments: ['staging'] },
    ])
  })

  test('of another project are not shown; none is said to be none', async () => {
    await release('a')
    expect((await belay('releases', '-p', 'blog')).out).toBe('no releases\n')
    expect((await belay('releases', '-p', 'shop', '--limit', '1')).out).toContain('shop#1')
  })
})

describe('deploy', () => {
  test('asks for the release, with the reason, and is good once it serves', async () => {
    const wanted = await release('a')
    ends('deployed', undefined, wanted)
    const { code, out } = await belay('deploy', 'staging', '1', '--reason', 'for the demo')
    expect({ code, out }).toEqual({
      code: 0,
      out: 'staging is to serve release 1 sha256:aaaaaaaaaaaa\nstaging serves release 1\n',
    })
    expect(asked).toMatchObject([{ release: wanted, reason: 'for the demo', actor: { name: 'operator' } }])
  })

  test.each([['#1'], ['shop#1'], [`sha256:${'a'.repeat(64)}`]])('takes %s for it', async (text) => {
    await release('a')
    ends('deployed')
    expect((await belay('deploy', 'staging', text)).code).toBe(0)
    expect(asked).toMatchObject([{ release: { number: 1 } }])
  })

  test('one that is taken back is exit 3, says why, and what serves now', async () => {
    const old = await release('a')
    await release('b')
    ends('failed', 'the release did not become healthy', old)
    const { code, out } = await belay('deploy', 'staging', '2')
    expect(code).toBe(3)
    expect(out).toContain('release 2 was taken back: the release did not become healthy\nstaging serves release 1\n')
  })

  test('one that cannot be taken back is exit 4', async () => {
    await release('a')
    ends('undo_failed', 'unhealthy; could not be taken back: refused')
    const { code, out } = await belay('deploy', 'staging', '1')
    expect(code).toBe(4)
    expect(out).toContain('could not be taken back: refused\nstaging serves nothing\n')
  })

  test('--json has the request and its end; --detach waits for none', async () => {
    await release('a')
    ends('failed', 'no good')
    const { code, out } = await belay('deploy', 'staging', '1', '--json')
    expect(code).toBe(3)
    expect(JSON.parse(out)).toMatchObject({ release: 1, deployment: { status: 'failed', reason: 'no good' } })
    const detached = await belay('deploy', 'staging', '1', '--json', '--detach')
    expect(detached.code).toBe(0)
    expect(JSON.parse(detached.out)).not.toHaveProperty('deployment')
  })

  test('what is not there is exit 2 and says where to look', async () => {
    const { code, err } = await belay('deploy', 'staging', '7')
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('`belay releases` lists them') as string })
  })

  test('who stops watching is told that it goes on', async () => {
    await release('a')
    ends('running')
    const env = { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('operator') }
    const io = testIo({ cwd: door.directory, env })
    await runProgram(['deploy', 'staging', '1'], { ...io, signal: AbortSignal.abort() })
    expect(io.result).toMatchObject({ code: 130, err: expect.stringContaining('`belay envs staging`') as string })
  })
})
