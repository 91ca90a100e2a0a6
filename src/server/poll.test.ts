import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hookSecret, makeProject, openFrontDoor, type FrontDoor } from '../../test/helpers/front-door.ts'
import type { GitRepository } from '../../test/helpers/git-repository.ts'
import { startGitServer, type GitServer } from '../../test/helpers/git-server.ts'
import { postPush } from '../../test/helpers/hook.ts'
import { until } from '../../test/helpers/until.ts'
import type { Run } from '../store/store.ts'
import { pollProject, startPolling, type Poller } from './poll.ts'

let git: GitServer
let repository: GitRepository
let door: FrontDoor
const pollers: Poller[] = []

beforeEach(async () => {
  git = await startGitServer()
  repository = await git.createRepository('shop')
  door = await openFrontDoor({ config: { projects: { shop: makeProject({ repository: repository.url, pollMs: 50 }) } } })
})

afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop()))
  await door.close()
  await git.stop()
})

describe('one look', () => {
  test('the first notes what is there and starts nothing; a new head and a new branch start a run each, once', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    await look(true)
    expect(await runs()).toEqual([])
    const second = await repository.commit({ files: { a: '2' }, message: 'two' })
    const feature = await repository.commit({ files: { a: '3' }, message: 'three', branch: 'feature/x' })
    await look(false)
    await look(false)
    const found = await runs()
    expect(Object.fromEntries(found.map(({ trigger }) => [trigger.branch, trigger.sha]))).toEqual({
      'feature/x': feature,
      main: second,
    })
    expect(found).toHaveLength(2)
    expect(found[0]?.trigger).toMatchObject({ event: 'push', source: 'poll', actor: { id: 'belay', name: 'polling' } })
  })

  test('what a restarted server finds new starts a run: it was noted by the store, not in memory', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    await look(true)
    const sha = await repository.commit({ files: { a: '2' }, message: 'two' })
    await look(true)
    expect((await runs()).map((run) => run.trigger.sha)).toEqual([sha])
  })

  test('a deleted branch starts nothing', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    await repository.commit({ files: { a: '2' }, message: 'two', branch: 'old' })
    await look(true)
    await repository.deleteBranch('old')
    await look(false)
    expect(await runs()).toEqual([])
  })

  test('branches called like what every object has start a run each, once', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    await look(true)
    const pushed = new Map<string, string>()
    for (const branch of ['constructor', 'toString', '__proto__']) {
      pushed.set(branch, await repository.commit({ files: { a: branch }, message: branch, branch }))
    }
    for (let looks = 0; looks < 3; looks += 1) await look(false)
    const found = await runs()
    expect(new Map(found.map(({ trigger }) => [trigger.branch, trigger.sha]))).toEqual(pushed)
    expect(found).toHaveLength(3)
    expect(door.logged().match(/polling found a new head/g)).toHaveLength(3)
  })

  test('a push that its hook told to skip starts nothing at the next look either; the push after it does', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    await look(true)
    const skipped = await repository.commit({ files: { a: '2' }, message: 'two [skip ci]' })
    const url = `${await door.listen()}/hooks/shop`
    const answer = await postPush({ url, secret: hookSecret, sha: skipped, message: 'two [skip ci]' })
    expect(answer).toEqual({ status: 200, body: { ignored: '[skip ci] in the head commit' } })
    await look(false)
    expect(await runs()).toEqual([])
    const sha = await repository.commit({ files: { a: '3' }, message: 'three' })
    await look(false)
    expect((await runs()).map((run) => run.trigger.sha)).toEqual([sha])
  })

  test('tags and the HEAD are no branches', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    await look(true)
    await repository.git('tag', 'v1')
    await repository.git('push', '-q', 'origin', 'v1')
    await look(false)
    expect(await door.store.polls.heads('shop')).toEqual({ main: expect.any(String) })
    expect(await runs()).toEqual([])
  })
})

describe('polling', () => {
  test('a server that is away is logged and asked again later; stopping does not wait for that', async () => {
    git.mode = 'away'
    startPoller()
    const line = await until('a look failed', () =>
      door
        .logged()
        .split('\n')
        .find((text) => text.includes('polling failed')),
    )
    expect(JSON.parse(line)).toMatchObject({ project: 'shop', retryInMs: 5_000 })
  })

  test('the first commit of a repository that was empty starts a run', async () => {
    await look(true)
    const sha = await repository.commit({ files: { a: '1' }, message: 'one' })
    await look(false)
    expect((await runs()).map((run) => run.trigger.sha)).toEqual([sha])
  })

  test('finds what is pushed while it looks', async () => {
    await repository.commit({ files: { a: '1' }, message: 'one' })
    startPoller()
    await until('the first look', async () => Object.keys(await door.store.polls.heads('shop')).length > 0)
    const sha = await repository.commit({ files: { a: '2' }, message: 'two' })
    const [run] = await until('a run', async () => {
      const found = await runs()
      return found.length > 0 && found
    })
    expect(run?.trigger.sha).toBe(sha)
  })
})

function look(isFirst: boolean): Promise<void> {
  const [project] = Object.values(door.config.projects)
  return pollProject(door, project ?? makeProject(), { isFirst })
}

function startPoller(): void {
  pollers.push(startPolling(door))
}

async function runs(): Promise<Run[]> {
  return (await door.store.runs.list({ project: 'shop' })).items
}
