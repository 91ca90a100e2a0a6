import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { collectFiles, type LayerEntry } from './collect-files.ts'

let directory: string
let workspace: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-files-'))
  workspace = join(directory, 'checkout')
  for (const path of ['dist/server.js', 'dist/lib/a.js', 'dist/lib-b.js', 'bin/tool', '.git/config', '../outside']) {
    await mkdir(dirname(join(workspace, path)), { recursive: true })
    await writeFile(join(workspace, path), path)
  }
})
afterEach(() => rm(directory, { recursive: true, force: true }))

function collect(from: string, to: string): Promise<LayerEntry[]> {
  return collectFiles({ workspace, from, to })
}

/** `name`, with a slash for a directory, and what it comes from. */
async function linesOf(from: string, to: string): Promise<string[]> {
  return (await collect(from, to)).map((entry) => {
    if (entry.type === 'directory') return `${entry.name}/`
    return entry.type === 'file' ? `${entry.name} = ${entry.source}` : `${entry.name} -> ${entry.target}`
  })
}

const ofDist = (prefix: string): string[] => [
  `${prefix}lib/`,
  `${prefix}lib-b.js = dist/lib-b.js`,
  `${prefix}lib/a.js = dist/lib/a.js`,
  `${prefix}server.js = dist/server.js`,
]

test.each([
  ['dist/', '/app/dist', ['app/', 'app/dist/', ...ofDist('app/dist/')]],
  ['dist', '/app/dist/', ['app/', 'app/dist/', ...ofDist('app/dist/')]],
  ['./dist', '/', ofDist('')],
  ['bin/tool', '/usr/bin/', ['usr/', 'usr/bin/', 'usr/bin/tool = bin/tool']],
  ['bin/tool', '/usr//bin/other', ['usr/', 'usr/bin/', 'usr/bin/other = bin/tool']],
])('%s packed to %s is sorted, parents first', async (from, to, expected) => {
  expect(await linesOf(from, to)).toEqual(expected)
})

test('an empty directory is packed as one', async () => {
  await mkdir(join(workspace, 'empty'))
  expect(await linesOf('empty', '/var/data')).toEqual(['var/', 'var/data/'])
})

test('the whole checkout is packed without what belongs to Git', async () => {
  const lines = await linesOf('.', '/')
  expect(lines).toContain('dist/server.js = dist/server.js')
  expect(lines.filter((line) => line.includes('.git'))).toEqual([])
})

test('links inside stay links, links to files elsewhere in the checkout become those files', async () => {
  await symlink('lib/a.js', join(workspace, 'dist/inside'))
  await symlink(join(workspace, 'dist/server.js'), join(workspace, 'dist/lib/absolute'))
  await symlink('../bin/tool', join(workspace, 'dist/tool'))
  await symlink('lib', join(workspace, 'dist/directory'))
  const lines = await linesOf('dist', '/')
  expect(lines).toContain('inside -> lib/a.js')
  expect(lines).toContain('lib/absolute -> ../server.js')
  expect(lines).toContain('tool = dist/tool')
  expect(lines).toContain('directory -> lib')
})

test.each(['/etc/passwd', '../../outside', '/etc', '../..', 'nowhere', '../bin'])('refuses a link to %j', async (target) => {
  await symlink(target, join(workspace, 'dist/link'))
  await expect(collect('dist', '/app')).rejects.toMatchObject({ code: 'refused', retryable: false })
})

test.each(['../outside', '/etc', 'dist/../../outside', '.git/config', 'nothing', '', 'a\0b'])(
  'refuses to pack %j',
  async (from) => {
    await expect(collect(from, '/app')).rejects.toMatchObject({ code: 'refused' })
  },
)

test.each(['app', '../app', '/app/../../etc', '', '/a\0b'])('refuses to pack into %j', async (to) => {
  await expect(collect('dist', to)).rejects.toMatchObject({ code: 'refused' })
})

test('refuses a pipe, a link that is packed itself and leads out, and a file in place of the root', async () => {
  await symlink('/etc', join(workspace, 'away'))
  await expect(collect('away', '/app')).rejects.toMatchObject({ code: 'refused' })
  await expect(collect('bin/tool', '//.')).rejects.toMatchObject({ code: 'refused' })
  execFileSync('mkfifo', [join(workspace, 'dist/pipe')])
  await expect(collect('dist', '/app')).rejects.toMatchObject({ code: 'refused' })
})
