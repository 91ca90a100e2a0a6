import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isInside, openInside } from './open-inside.ts'

let directory: string
let root: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-inside-'))
  root = join(directory, 'root')
  await mkdir(join(root, 'a'), { recursive: true })
  await writeFile(join(root, 'a/file'), 'inside')
  await writeFile(join(directory, 'root-beside'), 'outside')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

test.each(['a/file', 'link', 'up/a/file'])('opens %j', async (path) => {
  await symlink('a/file', join(root, 'link'))
  await symlink('../root', join(root, 'up'))
  const file = await openInside(root, path)
  try {
    expect(await file.readFile('utf8')).toBe('inside')
  } finally {
    await file.close()
  }
})

test.each(['../root-beside', 'out', 'a', 'nothing', 'pipe', 'loop', '/dev/null'])('refuses %j', async (path) => {
  await symlink('../root-beside', join(root, 'out'))
  await symlink('loop', join(root, 'loop'))
  execFileSync('mkfifo', [join(root, 'pipe')])
  await expect(openInside(root, path)).rejects.toMatchObject({ code: 'refused', retryable: false })
})

test.each([
  ['/x', '/x', true],
  ['/x', '/x/y', true],
  ['/x', '/xy', false],
  ['/', '/y', true],
])('is below %s: %s → %s', (parent, path, expected) => {
  expect(isInside(parent, path)).toBe(expected)
})
