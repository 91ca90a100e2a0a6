import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { runGit } from './git-repository.ts'
import { startGitServer, type GitServer } from './git-server.ts'

let server: GitServer
let directory: string

beforeAll(async () => {
  server = await startGitServer()
  directory = await mkdtemp(join(tmpdir(), 'belay-clone-'))
})
afterEach(() => {
  server.mode = 'any-commit'
})
afterAll(async () => {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

test('serves what was committed over HTTP', async () => {
  const repository = await server.createRepository('acme/shop')
  const sha = await repository.commit({ files: { 'a.txt': 'one\n' }, message: 'one', author: 'Ben <ben@example.org>' })
  await runGit(directory, ['clone', '-q', repository.url, 'shop'])
  expect(await readFile(join(directory, 'shop/a.txt'), 'utf8')).toBe('one\n')
  expect(await runGit(join(directory, 'shop'), ['log', '-1', '--format=%H %an'])).toBe(`${sha} Ben`)
})

test('begins a new branch where the last commit was made, and goes back to the old one', async () => {
  const repository = await server.createRepository('branches')
  const first = await repository.commit({ files: { 'a.txt': '1' }, message: 'first' })
  await repository.commit({ files: { 'b.txt': '2' }, message: 'second', branch: '-x/$(touch)' })
  const third = await repository.commit({ files: { 'c.txt': '3' }, message: 'third' })
  expect(await repository.git('rev-parse', `${third}^`)).toBe(first)
  expect(await repository.git('ls-tree', '--name-only', third)).toBe('a.txt\nc.txt')
})

test('makes a repository out of a directory, without what was built in it', async () => {
  const repository = await server.createRepository('hello', join(import.meta.dirname, '../../examples/hello-service'))
  const paths = (await repository.git('ls-tree', '-r', '--name-only', 'main')).split('\n')
  expect(paths).toContain('.belay.yml')
  expect(paths.filter((path) => path.startsWith('dist/'))).toEqual([])
})

test('in the older protocol it refuses a commit that no ref points to', async () => {
  const repository = await server.createRepository('older')
  const old = await repository.commit({ files: { a: '1' }, message: 'first' })
  await repository.commit({ files: { a: '2' }, message: 'second' })
  await runGit(directory, ['init', '-q', 'older'])
  const fetch = ['fetch', '-q', repository.url, old]
  server.mode = 'tips-only'
  await expect(runGit(join(directory, 'older'), fetch)).rejects.toThrow(/unadvertised/)
  server.mode = 'any-commit'
  await runGit(join(directory, 'older'), fetch)
})
