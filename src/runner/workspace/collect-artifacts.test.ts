import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { collectArtifacts } from './collect-artifacts.ts'

let directory: string
let checkout: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-artifacts-'))
  checkout = join(directory, 'checkout')
  await put('dist/b.js', 'b')
  await put('dist/a.js', 'a')
  await put('dist/deep/.hidden', 'h')
  await put('reports/unit.xml', 'u')
  await put('reports/unit.txt', 't')
  await put('.git/config', 'secret')
  await put('../outside', 'o')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(join(checkout, path)), { recursive: true })
  await writeFile(join(checkout, path), text, { mode })
}

async function pathsOf(paths: string[], exclude: string[] = []): Promise<string[]> {
  return (await collectArtifacts(checkout, { paths, exclude })).map((artifact) => artifact.path)
}

test('names each file by digest, size and whether it may be executed', async () => {
  await put('tool', '#!', 0o755)
  expect(await collectArtifacts(checkout, { paths: ['tool', 'dist/a.js'], exclude: [] })).toEqual([
    { path: 'dist/a.js', digest: digestOf('a'), sizeBytes: 1, executable: false },
    { path: 'tool', digest: digestOf('#!'), sizeBytes: 2, executable: true },
  ])
})

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

test.each([
  [['dist/'], [], ['dist/a.js', 'dist/b.js', 'dist/deep/.hidden']],
  [['dist'], [], ['dist/a.js', 'dist/b.js', 'dist/deep/.hidden']],
  [['./dist/*.js'], [], ['dist/a.js', 'dist/b.js']],
  [['**/*.xml'], [], ['reports/unit.xml']],
  [['reports/*.{xml,txt}', 'reports/unit.xml'], [], ['reports/unit.txt', 'reports/unit.xml']],
  [
    ['dist/', 'reports/'],
    ['**/*.js', 'reports/*.txt'],
    ['dist/deep/.hidden', 'reports/unit.xml'],
  ],
  [['dist/'], ['dist/deep'], ['dist/a.js', 'dist/b.js']],
  [['**'], ['dist/'], ['reports/unit.txt', 'reports/unit.xml']],
])('%j without %j is %j', async (paths, exclude, expected) => {
  expect(await pathsOf(paths, exclude)).toEqual(expected)
})

test.each(['../outside', '/etc/passwd', 'dist/../../outside', '.git/config', '.git', 'a\0b', ''])(
  'refuses the path %j',
  async (path) => {
    await expect(pathsOf([path])).rejects.toMatchObject({ code: 'refused' })
  },
)

test('says which declared output is not there', async () => {
  await expect(pathsOf(['dist/', 'coverage/*.xml'])).rejects.toThrow(/coverage\/\*\.xml/)
  await expect(pathsOf(['nothing'])).rejects.toMatchObject({ code: 'refused' })
})

test('a link to a file inside is that file', async () => {
  await symlink('a.js', join(checkout, 'dist/link.js'))
  expect(await collectArtifacts(checkout, { paths: ['dist/link.js'], exclude: [] })).toMatchObject([
    { path: 'dist/link.js', digest: digestOf('a') },
  ])
})

test.each([
  ['../../outside', 'a file outside'],
  ['/etc/passwd', 'a file of the machine'],
  ['../..', 'a directory outside'],
  ['deep', 'a directory inside'],
  ['nowhere', 'nothing'],
])('refuses a link to %s (%s)', async (target) => {
  await symlink(target, join(checkout, 'dist/link'))
  await expect(pathsOf(['dist/'])).rejects.toMatchObject({ code: 'refused' })
  expect(await pathsOf(['dist/'], ['dist/link'])).toHaveLength(3)
})

test('refuses what lies behind a link that leads out', async () => {
  await symlink('..', join(checkout, 'up'))
  await expect(pathsOf(['up/outside'])).rejects.toMatchObject({ code: 'refused' })
})

test('refuses a pipe instead of waiting for somebody to write to it', async () => {
  execFileSync('mkfifo', [join(checkout, 'dist/pipe')])
  await expect(pathsOf(['dist/'])).rejects.toMatchObject({ code: 'refused' })
})
