import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Artifact } from '../../domain/step.ts'
import { layArtifacts } from './lay-artifacts.ts'

let directory: string
let checkout: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-lay-'))
  checkout = join(directory, 'checkout')
  await mkdir(join(checkout, 'src'), { recursive: true })
  await writeFile(join(checkout, 'src/main.js'), 'committed')
  await writeFile(join(directory, 'precious'), 'precious')
  await symlink(directory, join(checkout, 'outside'))
  await symlink('../precious', join(checkout, 'link'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

function artifact(path: string, text: string, executable = false): Artifact {
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return { path, digest, sizeBytes: Buffer.byteLength(text), executable }
}

/** Gives `text` for whatever is asked, a byte at a time. */
function lay(artifacts: Artifact[], text: string, signal = new AbortController().signal): Promise<void> {
  return layArtifacts({ checkout, artifacts, signal, fetchArtifact: () => Promise.resolve(bytesOf(text)) })
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  for (const byte of Buffer.from(text)) yield await Promise.resolve(Uint8Array.of(byte))
}

test('makes the directories it needs, replaces files, and keeps who may execute', async () => {
  await lay([artifact('a/b/c', 'text'), artifact('src/main.js', 'text', true)], 'text')
  expect(await readFile(join(checkout, 'a/b/c'), 'utf8')).toBe('text')
  expect(await readFile(join(checkout, 'src/main.js'), 'utf8')).toBe('text')
  expect((await stat(join(checkout, 'src/main.js'))).mode & 0o100).toBe(0o100)
  expect((await stat(join(checkout, 'a/b/c'))).mode & 0o111).toBe(0)
})

test('replaces a link, and not what it points to', async () => {
  await lay([artifact('link', 'text')], 'text')
  expect(await readFile(join(checkout, 'link'), 'utf8')).toBe('text')
  expect(await readFile(join(directory, 'precious'), 'utf8')).toBe('precious')
})

test.each([
  '../x',
  '/etc/x',
  'a/../../x',
  '.git/hooks/post-checkout',
  '.GIT/config',
  '',
  'a//b',
  'a\0b',
  'outside/x',
  'src',
  'src/main.js/x',
])('refuses to lay anything at %j', async (path) => {
  await expect(lay([artifact(path, 'evil')], 'evil')).rejects.toMatchObject({ code: 'refused', retryable: false })
  expect((await readdir(directory)).sort()).toEqual(['checkout', 'precious'])
})

test('refuses bytes that are not what the digest says, and leaves nothing of them', async () => {
  await expect(lay([artifact('src/new.js', 'right')], 'wrong')).rejects.toMatchObject({ code: 'mismatch' })
  expect(await readdir(join(checkout, 'src'))).toEqual(['main.js'])
})

test('stops when its signal has fired', async () => {
  const controller = new AbortController()
  controller.abort()
  await expect(lay([artifact('x', 'x')], 'x', controller.signal)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
})
