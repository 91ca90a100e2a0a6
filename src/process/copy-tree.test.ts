import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { lstat, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { explainFault } from './copy-fault.ts'
import { copyFileInside, copyTree, type CopiedTree } from './copy-tree.ts'
import { openDirectoryInside } from './open-inside.ts'

let directory: string
let root: string
let to: string
const never = new AbortController().signal

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-copy-'))
  root = join(directory, 'root')
  to = join(directory, 'copy')
  mkdirSync(join(root, 'a/deep'), { recursive: true })
  mkdirSync(join(directory, 'foreign'))
  writeFileSync(join(root, 'a/deep/file'), 'inside')
  writeFileSync(join(directory, 'foreign/file'), 'foreign')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function copy(skipped: (path: string, why: string) => void = () => undefined, signal = never): Promise<CopiedTree> {
  const from = await openDirectoryInside(root, '.')
  try {
    return await copyTree({ from, to, skipped, signal })
  } finally {
    await from.handle.close()
  }
}

test('copies files with their mode and time, and directories', async () => {
  writeFileSync(join(root, 'a/run.sh'), '#!/bin/sh\n')
  chmodSync(join(root, 'a/run.sh'), 0o775)
  chmodSync(join(root, 'a/deep/file'), 0o640)
  utimesSync(join(root, 'a/run.sh'), 1_000, 2_000)
  writeFileSync(join(root, 'empty'), '')
  writeFileSync(join(root, 'large'), Buffer.alloc(700_000, 'x'))
  expect(await copy()).toEqual({ files: 4, bytes: 700_016 })
  expect(await readFile(join(to, 'a/deep/file'), 'utf8')).toBe('inside')
  expect((await readFile(join(to, 'large'))).equals(Buffer.alloc(700_000, 'x'))).toBe(true)
  const run = await stat(join(to, 'a/run.sh'))
  expect([run.mode & 0o7777, run.mtimeMs]).toEqual([0o775, 2_000_000])
  expect((await stat(join(to, 'a/deep/file'))).mode & 0o7777).toBe(0o640)
})

test('copies links as links, wherever they lead', async () => {
  const targets = { inside: 'a/deep/file', directory: 'a', away: '/etc/passwd', dangling: '../nothing' }
  for (const [name, target] of Object.entries(targets)) symlinkSync(target, join(root, name))
  await copy()
  for (const [name, target] of Object.entries(targets)) expect(await readlink(join(to, name))).toBe(target)
})

test('keeps a name that is not UTF-8', async () => {
  const name = Buffer.from([0x66, 0xff])
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), name]), '')
  await copy()
  expect((await readdir(to, { encoding: 'buffer' })).some((found) => found.equals(name))).toBe(true)
})

test('leaves out pipes, and says so', async () => {
  execFileSync('mkfifo', [join(root, 'a/pipe')])
  const skipped: string[] = []
  await copy((path, why) => skipped.push(`${path}: ${why}`))
  expect(skipped).toEqual(['a/pipe: it is a device, a pipe or a socket'])
  expect(await readdir(join(to, 'a'))).toEqual(['deep'])
})

test.each(['a', 'a/deep'])('takes nothing from outside when %s becomes a link while it is copied', async (path) => {
  // The first thing met in there; what follows it is read after the swap.
  execFileSync('mkfifo', [join(root, path, '!pipe')])
  writeFileSync(join(root, path, 'file'), 'inside')
  await copy(() => {
    renameSync(join(root, path), join(directory, 'away'))
    symlinkSync(join(directory, 'foreign'), join(root, path))
  })
  expect(await readFile(join(to, path, 'file'), 'utf8')).toBe('inside')
})

test('takes a link that took the place of a directory for a link', async () => {
  execFileSync('mkfifo', [join(root, '!pipe')])
  await copy(() => {
    renameSync(join(root, 'a'), join(directory, 'away'))
    symlinkSync(join(directory, 'foreign'), join(root, 'a'))
  })
  expect((await lstat(join(to, 'a'))).isSymbolicLink()).toBe(true)
})

test('refuses what lies too deep', async () => {
  mkdirSync(join(root, ...Array.from({ length: 202 }, () => 'd')), { recursive: true })
  await expect(copy()).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('deep') as string })
})

test.each([
  ['ENOSPC', 'unavailable', "Make room on the runner's disk."],
  ['EDQUOT', 'unavailable', "Make room on the runner's disk."],
  ['EMFILE', 'unavailable', undefined],
  ['ELOOP', 'refused', undefined],
  ['EACCES', 'refused', undefined],
])('says of %s that it is %s', (code, expected, hint) => {
  const error = explainFault('a/file', Object.assign(new Error('said by the system'), { code }))
  expect(error).toMatchObject({ code: expected, retryable: expected === 'unavailable' })
  expect(error.message).toContain('"a/file"')
  expect(error.hint).toBe(hint)
})

test('copies one file, of the inside only', async () => {
  symlinkSync('../foreign/file', join(root, 'out'))
  await copyFileInside({ root, path: 'a/deep/file', to, signal: never })
  expect(await readFile(to, 'utf8')).toBe('inside')
  await expect(copyFileInside({ root, path: 'out', to: `${to}-2`, signal: never })).rejects.toMatchObject({ code: 'refused' })
})

test('stops in the middle of a large file, with the reason', async () => {
  const abort = new AbortController()
  writeFileSync(join(root, 'z'), '')
  truncateSync(join(root, 'z'), 2 ** 30)
  execFileSync('mkfifo', [join(root, 'pipe')])
  const copying = copy(() => setImmediate(() => abort.abort(new Error('stopped by a person'))), abort.signal)
  await expect(copying).rejects.toThrow('stopped by a person')
})
