import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeProject, openFrontDoor, startPlannedRun, stepEvent, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { startGitServer, type GitServer } from '../../../test/helpers/git-server.ts'
import type { GitRepository } from '../../../test/helpers/git-repository.ts'
import type { Client } from '../../api/client.ts'

let git: GitServer
let repository: GitRepository
let door: FrontDoor
let client: Client
let head: string

beforeEach(async () => {
  git = await startGitServer()
  repository = await git.createRepository('shop')
  head = await repository.commit({ files: { a: '1' }, message: 'one' })
  door = await openFrontDoor({ config: { projects: { shop: makeProject({ repository: repository.url }) } } })
  client = await door.client('operator')
})

afterEach(async () => {
  await door.close()
  await git.stop()
})

describe('a person starts a run', () => {
  test('of a branch: its head, asked from the repository, and the token as actor, with an audit row', async () => {
    const feature = await repository.commit({ files: { a: '2' }, message: 'two', branch: 'feature/x' })
    const run = await client.startRun({ project: 'shop', branch: 'feature/x', pipeline: 'release' })
    expect(run).toMatchObject({ number: 1, status: 'queued', pipeline: 'release', url: expect.stringContaining(run.id) })
    const actor = { id: 'token:operator', name: 'operator' }
    expect(run.trigger).toMatchObject({ event: 'manual', source: 'api', branch: 'feature/x', sha: feature, actor })
    expect(await door.audited()).toMatchObject([{ action: 'run.start', actor: 'token:operator' }])
  })

  test('of nothing in particular: the default branch', async () => {
    expect((await client.startRun({ project: 'shop' })).trigger).toMatchObject({ branch: 'main', sha: head })
  })

  test('of a commit that is named, on the branch that is named by its ref', async () => {
    const sha = 'c'.repeat(40)
    const run = await client.startRun({ project: 'shop', ref: 'refs/heads/main', sha })
    expect(run.trigger).toMatchObject({ sha, branch: 'main' })
  })

  test('with the same Idempotency-Key it is the same run, even when the branch has moved on; for another branch 409', async () => {
    const first = await client.startRun({ project: 'shop', branch: 'main' }, 'key')
    await repository.commit({ files: { a: '3' }, message: 'three' })
    expect((await client.startRun({ project: 'shop', branch: 'main' }, 'key')).id).toBe(first.id)
    await repository.commit({ files: { a: '4' }, message: 'four', branch: 'other' })
    await expect(client.startRun({ project: 'shop', branch: 'other' }, 'key')).rejects.toMatchObject({ code: 'conflict' })
    expect((await client.startRun({ project: 'shop', branch: 'main' })).id).not.toBe(first.id)
  })

  test.each([
    ['an unknown project', { project: 'nobody' }, 'not_found'],
    ['an unknown branch', { project: 'shop', branch: 'nowhere' }, 'not_found'],
    ['a pattern', { project: 'shop', branch: 'ma*' }, 'invalid_input'],
    ['an option in the place of a branch', { project: 'shop', branch: '--upload-pack=x' }, 'invalid_input'],
    ['a branch and a ref', { project: 'shop', branch: 'main', ref: 'refs/heads/main' }, 'invalid_input'],
    ['a tag', { project: 'shop', ref: 'refs/tags/v1' }, 'not_yet'],
    ['a commit id that is none', { project: 'shop', sha: 'main' }, 'invalid_input'],
  ])('%s is refused', async (_, body, code) => {
    await expect(client.startRun(body)).rejects.toMatchObject({ code })
    expect((await door.store.runs.list({})).items).toEqual([])
  })

  test('from a repository that does not answer is 503, to be tried again', async () => {
    git.mode = 'away'
    await expect(client.startRun({ project: 'shop', branch: 'main' })).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    })
  })
})

describe('runs', () => {
  test('are listed newest first, page by page, and filtered', async () => {
    for (let count = 0; count < 3; count += 1) await startPlannedRun(door.store)
    const first = await client.listRuns({ limit: 2 })
    expect(first.items.map((run) => run.number)).toEqual([3, 2])
    const rest = await client.listRuns({ limit: 2, cursor: first.nextCursor })
    expect(rest.items.map((run) => run.number)).toEqual([1])
    expect(rest.nextCursor).toBeUndefined()
    expect((await client.listRuns({ project: 'shop', branch: 'main', status: 'queued' })).items).toHaveLength(3)
    expect((await client.listRuns({ branch: 'other' })).items).toEqual([])
    await expect(client.listRuns({ cursor: 'made up' })).rejects.toMatchObject({ code: 'invalid_input' })
  })

  test('are shown by id and by number, with steps and plan', async () => {
    const run = await startPlannedRun(door.store)
    await door.store.runs.record(run.id, [stepEvent(0, { status: 'succeeded' })])
    const shown = await client.getRun({ id: run.id })
    expect(shown.steps).toMatchObject([{ step: 'build', attempt: 1, status: 'succeeded' }])
    const steps = [{ id: 'build', kind: 'commands', needs: [] }]
    expect(shown.plan).toEqual({ pipeline: 'release', file: '.belay.yml', steps, finally: ['tell'] })
    expect(await client.getRun({ id: '1', project: 'shop' })).toEqual(shown)
  })

  test('that are not there are 404, and a number alone says what is missing', async () => {
    await expect(client.getRun({ id: crypto.randomUUID() })).rejects.toMatchObject({ code: 'not_found' })
    await expect(client.getRun({ id: '9', project: 'shop' })).rejects.toMatchObject({ code: 'not_found' })
    await expect(client.getRun({ id: '9' })).rejects.toMatchObject({
      code: 'invalid_input',
      hint: expect.stringContaining('project'),
    })
    await expect(client.getRun({ id: 'x' })).rejects.toMatchObject({ code: 'invalid_input' })
  })

  test('are cancelled by their person, with a reason, before they ever started', async () => {
    const run = await startPlannedRun(door.store)
    expect(await client.cancelRun({ id: run.id }, { reason: 'wrong branch' })).toMatchObject({
      status: 'cancelled',
      reason: 'wrong branch',
    })
    expect(await door.audited()).toMatchObject([{ action: 'run.cancel', subject: run.id }])
  })
})

describe('what there is', () => {
  test('projects, environments, deliveries, releases and deployments are listed, and nothing secret is in them', async () => {
    const [project] = (await client.listProjects()).items
    expect(project).toMatchObject({ name: 'shop', hookUrl: 'http://belay.example/hooks/shop', hookSecret: true })
    expect(Object.keys(project ?? {})).not.toContain('webhookSecrets')
    expect((await client.listEnvironments()).items).toMatchObject([{ name: 'staging', url: 'http://127.0.0.1:9080', queued: 0 }])
    expect(await client.getEnvironment('staging')).toMatchObject({ history: [], fence: 0 })
    expect((await client.listDeliveries()).items).toEqual([])
    expect((await client.listReleases({ project: 'shop' })).items).toEqual([])
    expect((await client.listDeployments('staging')).items).toEqual([])
    await expect(client.listDeployments('nowhere')).rejects.toMatchObject({ code: 'not_found' })
  })

  test('the server is alive without Temporal, but not ready, and a rollback is 503 with a hint', async () => {
    expect(await client.health()).toEqual({ status: 'ok' })
    const notReady = { code: 'unavailable', message: 'not ready: Temporal cannot be reached' }
    await expect(client.ready()).rejects.toMatchObject(notReady)
    await expect(client.rollback('staging')).rejects.toMatchObject({ code: 'unavailable', hint: expect.any(String) })
  })
})
