import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { gitEnvironment, runGit, type GitRepository } from '../../../test/helpers/git-repository.ts'
import { startGitServer, type GitServer } from '../../../test/helpers/git-server.ts'
import { findFreePort } from '../../process/free-port.ts'
import { findTagged } from '../../process/identity.ts'
import { spawnProcess } from '../../process/spawn.ts'
import { createMirrors, type MirroredCommit } from './mirror.ts'

let server: GitServer
let directory: string
let repositories = 0
const forEver = new AbortController().signal

beforeAll(async () => {
  server = await startGitServer()
})
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-mirrors-'))
})
afterEach(async () => {
  server.mode = 'any-commit'
  await rm(directory, { recursive: true, force: true })
})
afterAll(() => server.stop())

function createRepository(): Promise<GitRepository> {
  repositories += 1
  return server.createRepository(`repository-${String(repositories)}`)
}

function ensure(url: string, sha: string, signal = forEver): Promise<MirroredCommit> {
  return createMirrors(directory).ensureCommit({ url, sha, signal })
}

test('fetches a commit by its id, with its history', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second' })
  await repository.commit({ files: { a: '3' }, message: 'third' })
  const commit = await ensure(repository.url, second)
  expect(await runGit(commit.directory, ['rev-list', commit.ref])).toBe(`${second}\n${first}`)
})

test('asks the server once for a commit', async () => {
  const repository = await createRepository()
  const sha = await repository.commit({ files: { a: '1' }, message: 'first' })
  await ensure(repository.url, sha)
  const before = server.packRequests
  server.mode = 'away'
  await ensure(repository.url, sha)
  expect(server.packRequests).toBe(before)
})

test('fetches a commit that was force-pushed away, while the server still has it', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second' })
  await repository.forcePush('main', first)
  expect((await ensure(repository.url, second)).sha).toBe(second)
})

test('has a commit that was force-pushed away, once it was here', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second' })
  await ensure(repository.url, second)
  await repository.forcePush('main', first)
  await runGit(repository.bare, ['gc', '-q', '--prune=now'])
  const third = await repository.commit({ files: { a: '3' }, message: 'third', branch: 'other' })
  await ensure(repository.url, third)
  expect((await ensure(repository.url, second)).sha).toBe(second)
})

test('looks through the branches of a server that gives out only their tips', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  await repository.commit({ files: { a: '2' }, message: 'second' })
  server.mode = 'tips-only'
  const commit = await ensure(repository.url, first)
  expect(await runGit(commit.directory, ['rev-parse', commit.ref])).toBe(first)
})

test('a branch that takes the place of a directory of branches does no harm to the fall-back', async () => {
  const repository = await createRepository()
  await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second', branch: 'topic/one' })
  await repository.commit({ files: { a: '3' }, message: 'third', branch: 'topic/one' })
  server.mode = 'tips-only'
  await ensure(repository.url, second)
  await repository.deleteBranch('topic/one')
  await repository.commit({ files: { b: '1' }, message: 'back' })
  await repository.git('update-ref', '-d', 'refs/heads/topic/one')
  const fourth = await repository.commit({ files: { a: '4' }, message: 'fourth', branch: 'topic' })
  await repository.commit({ files: { a: '5' }, message: 'fifth', branch: 'topic' })
  expect((await ensure(repository.url, fourth)).sha).toBe(fourth)
})

test.each([
  '--upload-pack=touch${IFS}pwned',
  '$(touch${IFS}pwned)',
  ';touch${IFS}pwned;',
  '-',
  "'",
  'refs/heads/main',
  'HEAD',
  '@',
])('a branch called %j is fetched by its commit and runs nothing', async (branch) => {
  const repository = await createRepository()
  await repository.commit({ files: { a: '1' }, message: 'first' })
  const sha = await repository.commit({ files: { a: branch }, message: 'hostile', branch })
  await repository.commit({ files: { a: 'later' }, message: 'later', branch })
  for (const mode of ['any-commit', 'tips-only'] as const) {
    server.mode = mode
    await rm(directory, { recursive: true, force: true })
    const commit = await ensure(repository.url, sha)
    expect(await readdir(commit.directory)).not.toContain('pwned')
  }
})

test.each(['any-commit', 'tips-only'] as const)('refuses a commit that the repository does not have (%s)', async (mode) => {
  const repository = await createRepository()
  await repository.commit({ files: { a: '1' }, message: 'first' })
  server.mode = mode
  await expect(ensure(repository.url, 'ab'.repeat(20))).rejects.toMatchObject({ code: 'refused', retryable: false })
})

test('refuses the id of a tree and of a tag', async () => {
  const repository = await createRepository()
  await repository.commit({ files: { a: '1' }, message: 'first' })
  await repository.git('tag', '-a', 'v1', '-m', 'v1')
  await repository.git('push', '-q', 'origin', 'v1')
  for (const name of ['main^{tree}', 'v1']) {
    const id = await repository.git('rev-parse', name)
    await expect(ensure(repository.url, id)).rejects.toMatchObject({ code: 'refused' })
  }
})

test.each(['main', '--output=x', 'HEAD', 'abc123'])('refuses %j in place of a commit id', async (sha) => {
  await expect(ensure(server.url, sha)).rejects.toMatchObject({ code: 'refused' })
})

test.each(['ext::sh -c touch% pwned', '--upload-pack=x', '/etc', 'git://example.org/x', 'a@b:c'])(
  'refuses %j as a URL',
  async (url) => {
    await expect(ensure(url, 'ab'.repeat(20))).rejects.toMatchObject({ code: 'refused' })
  },
)

test('a server that is away is worth another attempt', async () => {
  const url = `http://127.0.0.1:${String(await findFreePort())}/x.git`
  await expect(ensure(url, 'ab'.repeat(20))).rejects.toMatchObject({ code: 'unavailable', retryable: true })
})

test('a repository that is not there says so without the credentials in its URL', async () => {
  const url = `${server.url.replace('//', '//ana:s3cret%21@')}/nothing.git`
  const error = await ensure(url, 'ab'.repeat(20)).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'unavailable' })
  expect(String(error)).toContain('/nothing.git')
  expect(String(error)).not.toMatch(/s3cret|ana/)
})

test('fetches from a repository on this machine', async () => {
  const repository = await createRepository()
  const sha = await repository.commit({ files: { a: '1' }, message: 'first' })
  expect((await ensure(pathToFileURL(repository.bare).href, sha)).sha).toBe(sha)
})

test('fetches from a repository with SHA-256', async () => {
  const work = join(directory, 'sha256')
  await runGit(directory, ['init', '-q', '--object-format=sha256', work])
  await runGit(work, ['commit', '-q', '--allow-empty', '-m', 'first'])
  const sha = await runGit(work, ['rev-parse', 'HEAD'])
  expect(sha).toHaveLength(64)
  expect((await ensure(pathToFileURL(work).href, sha)).sha).toBe(sha)
})

test('a signal stops Git and its helpers at once', async () => {
  const repository = await createRepository()
  const sha = await repository.commit({ files: { a: '1' }, message: 'first' })
  server.mode = 'stalled'
  const stalled = server.stalled()
  const controller = new AbortController()
  const ended = ensure(repository.url, sha, controller.signal).catch((error: unknown) => error)
  await stalled
  const mirror = join(directory, (await readdir(directory)).find((name) => name.endsWith('.git')) ?? '')
  expect(findTagged('BELAY_GIT_TAG', mirror)).not.toEqual([])
  controller.abort()
  expect(await ended).toMatchObject({ code: 'unavailable', retryable: true })
  expect(findTagged('BELAY_GIT_TAG', mirror)).toEqual([])
  server.mode = 'any-commit'
  expect((await ensure(repository.url, sha)).sha).toBe(sha)
})

test('two at once for the same repository are served one after the other', async () => {
  const repository = await createRepository()
  const shas: string[] = []
  for (const text of ['1', '2', '3', '4']) shas.push(await repository.commit({ files: { a: text }, message: text }))
  const mirrors = createMirrors(directory)
  const commits = await Promise.all(shas.map((sha) => mirrors.ensureCommit({ url: repository.url, sha, signal: forEver })))
  expect(commits.map((commit) => commit.sha)).toEqual(shas)
})

test('clears away the locks and half packs of a fetch that was killed', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second' })
  const { directory: mirror } = await ensure(repository.url, first)
  const leftovers = ['shallow.lock', 'packed-refs.lock', `refs/belay/${second}.lock`, 'objects/pack/tmp_pack_AbCdEf']
  for (const path of leftovers) await writeFile(join(mirror, path), 'half')
  expect((await ensure(repository.url, second)).sha).toBe(second)
  expect(leftovers.filter((path) => existsSync(join(mirror, path)))).toEqual([])
})

test('stops a Git that a killed runner left running', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second' })
  const { directory: mirror } = await ensure(repository.url, first)
  server.mode = 'stalled'
  const stalled = server.stalled()
  const orphan = await spawnProcess({
    file: 'git',
    args: ['fetch', '-q', repository.url, `${second}:refs/belay/${second}`],
    cwd: mirror,
    env: { ...gitEnvironment(), BELAY_GIT_TAG: mirror },
  })
  await stalled
  server.mode = 'any-commit'
  expect((await ensure(repository.url, second)).sha).toBe(second)
  expect((await orphan.done).signal).toBe('SIGKILL')
})

test('puts many small packs together', async () => {
  const repository = await createRepository()
  const mirrors = createMirrors(directory)
  const url = pathToFileURL(repository.bare).href
  let commit: MirroredCommit | undefined
  for (let number = 0; number < 52; number += 1) {
    const sha = await repository.commit({ files: { a: String(number) }, message: 'x' })
    commit = await mirrors.ensureCommit({ url, sha, signal: forEver })
  }
  const mirror = commit?.directory ?? ''
  expect((await readdir(join(mirror, 'objects/pack'))).filter((name) => name.endsWith('.pack')).length).toBeLessThan(10)
  expect((await runGit(mirror, ['rev-list', commit?.ref ?? ''])).split('\n')).toHaveLength(52)
}, 60_000)

test('makes a new mirror if the old one is damaged', async () => {
  const repository = await createRepository()
  const first = await repository.commit({ files: { a: '1' }, message: 'first' })
  const second = await repository.commit({ files: { a: '2' }, message: 'second' })
  const { directory: mirror } = await ensure(repository.url, first)
  await writeFile(join(mirror, 'HEAD'), 'nonsense')
  await writeFile(join(mirror, 'config'), '[core\n')
  expect((await ensure(repository.url, second)).sha).toBe(second)
})

test('a mirror that nothing was asked of for long goes, one that was used stays, and what a killed sweep left goes too', async () => {
  const [old, used] = [await createRepository(), await createRepository()]
  const [oldSha, usedSha] = [
    await old.commit({ files: { a: '1' }, message: 'first' }),
    await used.commit({ files: { a: '1' }, message: 'first' }),
  ]
  const commits = [await ensure(old.url, oldSha), await ensure(used.url, usedSha)]
  const longAgo = Date.now() / 1000 - 3600
  for (const { directory: mirror } of commits) await utimes(join(mirror, 'HEAD'), longAgo, longAgo)
  await mkdir(join(directory, 'half.git.removing'))
  const before = Date.now()
  await ensure(used.url, usedSha)
  expect(await createMirrors(directory).sweep(before - 1000, forEver)).toBe(1)
  expect(commits.map((commit) => existsSync(commit.directory))).toEqual([false, true])
  expect(existsSync(join(directory, 'half.git.removing'))).toBe(false)
  await expect(ensure(old.url, oldSha)).resolves.toMatchObject({ sha: oldSha })
})
