// Long because all that a workspace may become is tried on one Git server.
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, lstat, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { OpenWorkspaceInput } from '../../contract/activities.ts'
import type { Artifact } from '../../domain/step.ts'
import { runGit, type GitRepository } from '../../../test/helpers/git-repository.ts'
import { startGitServer, type GitServer } from '../../../test/helpers/git-server.ts'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { checkpointLimits } from '../checkpoint/limits.ts'
import { packCheckpoint } from '../checkpoint/pack-checkpoint.ts'
import { createWorkspaces, type StepUser, type Workspaces } from './workspaces.ts'

let server: GitServer
let repository: GitRepository
let sha: string
let directory: string
const contents = new Map<string, string | Buffer>()
const signal = new AbortController().signal
const pipeline = 'name: release\n'

beforeAll(async () => {
  server = await startGitServer()
  repository = await server.createRepository('shop')
  const files = {
    '.belay.yml': pipeline,
    '.belay/z.yml': 'name: z\n',
    '.belay/a.yml': 'name: ä\n',
    '.belay/notes.txt': 'no',
    '.belay/deep/x.yml': 'no',
    'src/main.js': 'one\n',
    'run.sh': { executable: '#!/bin/sh\n' },
    outside: { link: '/etc' },
  }
  sha = await repository.commit({ files, message: 'first' })
})
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-workspaces-'))
  // Other users pass through on the way to their workspaces.
  await chmod(directory, 0o711)
})
afterEach(async () => {
  server.mode = 'any-commit'
  await rm(directory, { recursive: true, force: true })
})
afterAll(() => server.stop())

function create(user?: StepUser, warn: (message: string) => void = () => undefined): Workspaces {
  return createWorkspaces({
    workspaces: join(directory, 'workspaces'),
    mirrors: join(directory, 'mirrors'),
    user,
    fetchArtifact: (digest) => Promise.resolve(bytesOf(contents.get(digest) ?? 'unknown')),
    warn: (_, message) => warn(message),
  })
}

async function* bytesOf(content: string | Buffer): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content)
  for (let at = 0; at < bytes.length; at += 7) yield await Promise.resolve(bytes.subarray(at, at + 7))
}

function artifact(path: string, text: string, executable = false): Artifact {
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  contents.set(digest, text)
  return { path, digest, sizeBytes: Buffer.byteLength(text), executable }
}

function opening(runId: string, epoch: number, more: Partial<OpenWorkspaceInput> = {}): OpenWorkspaceInput {
  return { workspace: { runId, epoch }, repository: { project: 'shop', url: repository.url }, sha, artifacts: [], ...more }
}

test('opens a checkout at exactly the commit, with a Git that steps can use', async () => {
  const runId = randomUUID()
  await repository.commit({ files: { 'src/main.js': 'two\n' }, message: 'later' })
  const workspaces = create()
  await workspaces.open(opening(runId, 1), { signal })
  const dirs = await workspaces.lease({ runId, epoch: 1 })
  expect(await readFile(join(dirs.checkout, 'src/main.js'), 'utf8')).toBe('one\n')
  expect(await runGit(dirs.checkout, ['rev-parse', 'HEAD'])).toBe(sha)
  expect(await runGit(dirs.checkout, ['status', '--porcelain'])).toBe('')
  expect(await runGit(dirs.checkout, ['remote', 'get-url', 'origin'])).toBe(repository.url)
  expect(await readdir(dirs.root)).toEqual(['checkout', 'home', 'lease.json', 'output', 'tmp'])
})

test('gives the pipeline files of the commit, sorted, and no others', async () => {
  const { files } = await create().open(opening(randomUUID(), 1), { signal })
  expect(files).toEqual([
    { path: '.belay.yml', text: pipeline },
    { path: '.belay/a.yml', text: 'name: ä\n' },
    { path: '.belay/z.yml', text: 'name: z\n' },
  ])
})

test('the checkout lives without the mirror', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 1), { signal })
  await rm(join(directory, 'mirrors'), { recursive: true })
  const { checkout } = await workspaces.lease({ runId, epoch: 1 })
  await runGit(checkout, ['fsck', '--full', '--strict'])
  expect(await runGit(checkout, ['show', 'HEAD:src/main.js'])).toBe('one')
})

test('opened again under the same epoch it is the same directory, as it is', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 3), { signal })
  const { checkout } = await workspaces.lease({ runId, epoch: 3 })
  await writeFile(join(checkout, 'made-by-a-step'), 'x')
  await create().open(opening(runId, 3), { signal })
  expect(existsSync(join(checkout, 'made-by-a-step'))).toBe(true)
})

test('opened under a higher epoch it is a fresh one', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 3), { signal })
  const { checkout } = await workspaces.lease({ runId, epoch: 3 })
  await writeFile(join(checkout, 'made-by-a-step'), 'x')
  await workspaces.open(opening(runId, 4), { signal })
  expect(existsSync(join(checkout, 'made-by-a-step'))).toBe(false)
})

test('opened for the runner whose it was, it is kept as it is, and says so, however often it is asked', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 2), { signal })
  const { checkout } = await workspaces.lease({ runId, epoch: 3 })
  await writeFile(join(checkout, 'made-by-a-step'), 'x')
  for (let times = 0; times < 2; times += 1) {
    expect(await create().open(opening(runId, 4), { signal, keepSince: 2 })).toMatchObject({ resumed: true })
  }
  expect(existsSync(join(checkout, 'made-by-a-step'))).toBe(true)
  await expect(workspaces.lease({ runId, epoch: 3 })).rejects.toMatchObject({ code: 'stale' })
})

test('one from before the workspace went to another runner is not kept: what was done since is not in it', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 1), { signal })
  const { checkout } = await workspaces.lease({ runId, epoch: 1 })
  await writeFile(join(checkout, 'made-by-a-step'), 'x')
  expect(await workspaces.open(opening(runId, 3), { signal, keepSince: 2 })).toMatchObject({ resumed: false })
  expect(existsSync(join(checkout, 'made-by-a-step'))).toBe(false)
  expect(await workspaces.open(opening(runId, 3), { signal, keepSince: 2 })).toMatchObject({ resumed: false })
})

test('a fresh one has the checkpoint in it, and artifacts over that; one that is not whole is left out, and told', async () => {
  const runId = randomUUID()
  const warned: string[] = []
  const workspaces = create(undefined, (message) => warned.push(message))
  await workspaces.open(opening(runId, 1), { signal })
  const dirs = await workspaces.lease({ runId, epoch: 1 })
  await writeFile(join(dirs.checkout, 'made-by-a-step'), 'x')
  // A link that leads out is not taken into one.
  await rm(join(dirs.checkout, 'outside'))
  const file = join(directory, 'packed')
  const { digest } = await packCheckpoint({ dirs, file, limits: checkpointLimits, signal })
  contents.set(digest, await readFile(file))
  const checkpoint = { digest, artifacts: [artifact('in-it', 'x')] }
  const artifacts = [artifact('later', 'y')]
  for (let times = 0; times < 2; times += 1) {
    expect(await workspaces.open(opening(runId, 2, { checkpoint, artifacts }), { signal })).toMatchObject({ restored: true })
  }
  expect((await readdir(dirs.checkout)).toSorted()).toEqual(
    ['.belay', '.belay.yml', '.git', 'later', 'made-by-a-step', 'run.sh', 'src'].toSorted(),
  )
  contents.set(digest, 'half of i')
  expect(await workspaces.open(opening(runId, 3, { checkpoint, artifacts }), { signal })).toMatchObject({ restored: false })
  expect(existsSync(join(dirs.checkout, 'made-by-a-step'))).toBe(false)
  expect([existsSync(join(dirs.checkout, 'in-it')), existsSync(join(dirs.checkout, 'src/main.js'))]).toEqual([true, true])
  expect(warned).toEqual(['a checkpoint cannot be laid'])
})

test('a lower epoch is stale, for opening and for leasing, also after a restart', async () => {
  const runId = randomUUID()
  await create().open(opening(runId, 5), { signal })
  await expect(create().open(opening(runId, 4), { signal })).rejects.toMatchObject({ code: 'stale' })
  await expect(create().lease({ runId, epoch: 4 })).rejects.toMatchObject({ code: 'stale' })
})

test('a higher epoch takes the directory over as it is, durably', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 1), { signal })
  const { checkout } = await workspaces.lease({ runId, epoch: 1 })
  await writeFile(join(checkout, 'made-by-a-step'), 'x')
  await workspaces.lease({ runId, epoch: 2 })
  expect(existsSync(join(checkout, 'made-by-a-step'))).toBe(true)
  await expect(create().lease({ runId, epoch: 1 })).rejects.toMatchObject({ code: 'stale' })
  await create().lease({ runId, epoch: 2 })
})

test('there is no lease where nothing was opened', async () => {
  await expect(create().lease({ runId: randomUUID(), epoch: 1 })).rejects.toMatchObject({ code: 'not_found' })
})

test('what a kill left half-opened is no workspace, and is opened anew', async () => {
  const runId = randomUUID()
  await create().open(opening(runId, 1), { signal })
  const root = join(directory, 'workspaces', runId)
  await writeFile(join(root, 'lease.json'), JSON.stringify({ epoch: 1, sha, state: 'opening' }))
  await rm(join(root, 'checkout/src'), { recursive: true })
  await writeFile(join(root, 'checkout/.git/index.lock'), '')
  await expect(create().lease({ runId, epoch: 1 })).rejects.toMatchObject({ code: 'not_found' })
  await create().open(opening(runId, 1), { signal })
  const { checkout } = await create().lease({ runId, epoch: 1 })
  expect(await runGit(checkout, ['status', '--porcelain'])).toBe('')
})

test('two openings of the same epoch at once give one workspace', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await Promise.all([1, 2, 3].map(() => workspaces.open(opening(runId, 1), { signal })))
  const { checkout } = await workspaces.lease({ runId, epoch: 1 })
  expect(await runGit(checkout, ['status', '--porcelain'])).toBe('')
})

test('lays artifacts into the checkout, over what the commit has there', async () => {
  const runId = randomUUID()
  const workspaces = create()
  const artifacts = [artifact('dist/a/b.js', 'built'), artifact('src/main.js', 'generated'), artifact('tool', '#!', true)]
  await workspaces.open(opening(runId, 1, { artifacts }), { signal })
  const { checkout } = await workspaces.lease({ runId, epoch: 1 })
  expect(await readFile(join(checkout, 'dist/a/b.js'), 'utf8')).toBe('built')
  expect(await readFile(join(checkout, 'src/main.js'), 'utf8')).toBe('generated')
  expect((await stat(join(checkout, 'tool'))).mode & 0o111).not.toBe(0)
})

test('an artifact that cannot be laid leaves no workspace', async () => {
  const runId = randomUUID()
  const opened = create().open(opening(runId, 1, { artifacts: [artifact('outside/x', 'evil')] }), { signal })
  await expect(opened).rejects.toMatchObject({ code: 'refused' })
  await expect(create().lease({ runId, epoch: 1 })).rejects.toMatchObject({ code: 'not_found' })
})

test('refuses pipeline files of more than 256 KiB together', async () => {
  const large = await repository.commit({ files: { '.belay/large.yml': 'x'.repeat(256 * 1024) }, message: 'l', branch: 'large' })
  const opened = create().open(opening(randomUUID(), 1, { sha: large }), { signal })
  await expect(opened).rejects.toMatchObject({ code: 'too_large', retryable: false })
})

test('refuses a pipeline file that is a symlink, or not UTF-8', async () => {
  const link = await repository.commit({
    files: { '.belay/large.yml': null, '.belay.yml': { link: '/etc/passwd' } },
    message: 'l',
    branch: 'link',
  })
  await expect(create().open(opening(randomUUID(), 1, { sha: link }), { signal })).rejects.toMatchObject({ code: 'refused' })
  const bytes = await repository.commit({ files: { '.belay.yml': Buffer.from([0xff, 0xfe]) }, message: 'b', branch: 'bytes' })
  const opened = create().open(opening(randomUUID(), 1, { sha: bytes }), { signal })
  await expect(opened).rejects.toMatchObject({ code: 'invalid_pipeline' })
})

test('a commit without pipeline files opens with none', async () => {
  const other = await server.createRepository('bare-of-pipelines')
  const empty = await other.commit({ files: {}, message: 'nothing at all' })
  const input = opening(randomUUID(), 1, { sha: empty, repository: { project: 'other', url: other.url } })
  expect(await create().open(input, { signal })).toEqual({ files: [], resumed: false, restored: false })
})

test('a damaged mirror costs one failed attempt at most', async () => {
  const workspaces = create()
  await workspaces.open(opening(randomUUID(), 1), { signal })
  const mirrors = join(directory, 'mirrors')
  const mirror = (await readdir(mirrors)).find((name) => name.endsWith('.git')) ?? ''
  const packs = join(mirrors, mirror, 'objects/pack')
  for (const name of await readdir(packs)) await rm(join(packs, name))
  const runId = randomUUID()
  await Promise.allSettled([workspaces.open(opening(runId, 1), { signal })])
  expect((await workspaces.open(opening(runId, 1), { signal })).files).toHaveLength(3)
})

test('a signal that fired stops an opening, and it can be done again', async () => {
  const runId = randomUUID()
  const workspaces = create()
  server.mode = 'stalled'
  const stalled = server.stalled()
  const controller = new AbortController()
  const opened = workspaces.open(opening(runId, 1), { signal: controller.signal }).catch((error: unknown) => error)
  await stalled
  controller.abort()
  expect(await opened).toMatchObject({ code: 'unavailable', retryable: true })
  server.mode = 'any-commit'
  await workspaces.open(opening(runId, 1), { signal })
})

test.each(['..', '.', 'a/b', '', '../../etc', '.hidden', 'x\0y'])('refuses %j as the id of a run', async (runId) => {
  await expect(create().open(opening(runId, 1), { signal })).rejects.toMatchObject({ code: 'invalid_input' })
  await expect(create().lease({ runId, epoch: 1 })).rejects.toMatchObject({ code: 'invalid_input' })
  await expect(create().remove(runId)).rejects.toMatchObject({ code: 'invalid_input' })
})

test('removes read-only directories, follows no link out, and twice is nothing', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await workspaces.open(opening(runId, 1), { signal })
  const { checkout, root } = await workspaces.lease({ runId, epoch: 1 })
  const precious = join(directory, 'precious')
  await mkdir(precious)
  await writeFile(join(precious, 'file'), 'x')
  await symlink(precious, join(checkout, 'link'))
  await mkdir(join(checkout, 'locked/inner'), { recursive: true })
  await writeFile(join(checkout, 'locked/inner/file'), 'x', { mode: 0o400 })
  await chmod(join(checkout, 'locked/inner'), 0o500)
  await chmod(join(checkout, 'locked'), 0)
  expect(await workspaces.list()).toEqual([runId])
  await workspaces.remove(runId)
  await workspaces.remove(runId)
  expect(existsSync(root)).toBe(false)
  expect(readFileSync(join(precious, 'file'), 'utf8')).toBe('x')
  expect(await workspaces.list()).toEqual([])
})

test('a directory that was given out under a later epoch is not removed', async () => {
  const runId = randomUUID()
  const workspaces = create()
  expect(workspaces.findEpoch(runId)).toBeUndefined()
  await workspaces.open(opening(runId, 1), { signal })
  const { root } = await workspaces.lease({ runId, epoch: 2 })
  expect(workspaces.findEpoch(runId)).toBe(2)
  await workspaces.remove(runId, 1)
  expect(existsSync(root)).toBe(true)
  await workspaces.remove(runId, 2)
  expect(existsSync(root)).toBe(false)
})

test('a removal that was cut short is listed, and finished', async () => {
  const runId = randomUUID()
  const workspaces = create()
  await mkdir(join(directory, 'workspaces', `.removing-${runId}`, 'checkout'), { recursive: true })
  expect(await workspaces.list()).toEqual([runId])
  await workspaces.remove(runId)
  expect(await readdir(join(directory, 'workspaces'))).toEqual([])
})

test('gives a step user its directories and nothing else', async () => {
  skipUnless(process.getuid?.() === 0, 'only root can give files to another user')
  const user = { uid: 12_345, gid: 12_346 }
  const runId = randomUUID()
  const workspaces = create(user)
  await workspaces.open(opening(runId, 1, { artifacts: [artifact('dist/x', 'x')] }), { signal })
  const dirs = await workspaces.lease({ runId, epoch: 1 })
  for (const path of [dirs.checkout, dirs.home, dirs.tmp, dirs.output]) {
    expect(await stat(path)).toMatchObject({ ...user, mode: 0o40700 })
  }
  for (const path of ['.git/HEAD', 'src/main.js', 'dist/x', 'outside'])
    expect(await lstat(join(dirs.checkout, path))).toMatchObject(user)
  expect(await stat('/etc')).toMatchObject({ uid: 0 })
  expect(await stat(dirs.root)).toMatchObject({ uid: 0, mode: 0o40711 })
  expect(await stat(join(dirs.root, 'lease.json'))).toMatchObject({ uid: 0, mode: 0o100600 })
  expect(await stat(join(directory, 'workspaces'))).toMatchObject({ uid: 0, mode: 0o40711 })
  await workspaces.open(opening(runId, 1), { signal })
  await workspaces.open(opening(runId, 2), { signal })
  await workspaces.remove(runId)
  expect(await workspaces.list()).toEqual([])
})
