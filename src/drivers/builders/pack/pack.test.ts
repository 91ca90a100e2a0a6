// Long because all that an image must hold is read back from it here.
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import { extract, type Header } from 'tar-stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import type { PackImage } from '../../../domain/plan.ts'
import type { RegistryAccess } from '../../../registry/registry.ts'
import type { Image } from '../../../domain/step.ts'
import { pack } from './pack.ts'

let directory: string
let workspace: string
let images: string
let lines: string[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-pack-'))
  workspace = join(directory, 'checkout')
  images = join(directory, 'images')
  lines = []
  await put('dist/server.js', 'console.log(1)\n')
  await put('dist/lib/b.js', 'b')
  await put('dist/lib/a.js', 'a')
  await put('bin/tool', '#!/bin/sh\n', 0o755)
  await put('.git/config', 'secret')
  await put('../outside', 'o')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(join(workspace, path)), { recursive: true })
  await writeFile(join(workspace, path), text, { mode })
}

const standard: PackImage = {
  builder: 'pack',
  repository: 'shop/app',
  tags: ['v1'],
  files: { 'dist/': '/app/dist' },
  entrypoint: ['node', '/app/dist/server.js'],
  labels: {},
}

function build(
  change: Partial<PackImage> = {},
  signal = new AbortController().signal,
  registry?: RegistryAccess,
): Promise<Image> {
  return pack.build({
    build: { ...standard, ...change },
    ...{ workspace, images, scratch: directory, secrets: {}, env: {}, signal },
    ...(registry === undefined ? {} : { registry }),
    log: (line) => lines.push(line),
    spawned: () => undefined,
  })
}

function layoutOf(repository = 'shop/app'): string {
  return join(images, repository)
}

function blob(digest: string): string {
  return join(layoutOf(), 'blobs/sha256', digest.slice(7))
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
}

interface Manifest {
  config: { digest: string }
  layers: { digest: string; size: number; mediaType: string }[]
}

async function readManifest(image: Image): Promise<Manifest> {
  return (await readJson(blob(image.digest))) as unknown as Manifest
}

async function tagsOf(): Promise<Record<string, string>> {
  const index = await readJson(join(layoutOf(), 'index.json'))
  const entries = index['manifests'] as { digest: string; annotations?: Record<string, string> }[]
  return Object.fromEntries(
    entries.map((entry) => [entry.annotations?.['org.opencontainers.image.ref.name'] ?? 'none', entry.digest]),
  )
}

async function headersOf(image: Image, layer = 0): Promise<Header[]> {
  const headers: Header[] = []
  const digest = (await readManifest(image)).layers[layer]?.digest ?? ''
  const tar = createReadStream(blob(digest)).pipe(createGunzip()).pipe(extract())
  for await (const entry of tar) {
    headers.push(entry.header)
    entry.resume()
  }
  return headers
}

test('packs a directory as one layer, sorted, without times and with plain modes', async () => {
  await put('dist/run', '#!', 0o711)
  await put('dist/private', 'x', 0o600)
  const headers = await headersOf(await build())
  expect(headers.map(({ name, type, mode }) => [name, type, mode?.toString(8)])).toEqual([
    ['app', 'directory', '755'],
    ['app/dist', 'directory', '755'],
    ['app/dist/lib', 'directory', '755'],
    ['app/dist/lib/a.js', 'file', '644'],
    ['app/dist/lib/b.js', 'file', '644'],
    ['app/dist/private', 'file', '644'],
    ['app/dist/run', 'file', '755'],
    ['app/dist/server.js', 'file', '644'],
  ])
  expect(new Set(headers.map(({ uid, gid, mtime }) => `${String(uid)} ${String(gid)} ${String(mtime?.getTime())}`))).toEqual(
    new Set(['0 0 0']),
  )
})

test('writes a configuration that says how to start it and nothing about when', async () => {
  const image = await build({ user: 10_001, labels: { b: '2', a: '1' } })
  const config = await readJson(blob((await readManifest(image)).config.digest))
  expect(config).toMatchObject({
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: { User: '10001', Entrypoint: ['node', '/app/dist/server.js'], Labels: { a: '1', b: '2' } },
    rootfs: { type: 'layers', diff_ids: [expect.stringMatching(/^sha256:[0-9a-f]{64}$/)] },
    history: [{ created_by: 'belay pack dist/ /app/dist' }],
  })
  expect((await headersOf(image))[0]).toMatchObject({ uid: 10_001, gid: 10_001 })
})

test('names every layer by what is in it, gzipped and plain', async () => {
  const image = await build({ files: { 'dist/': '/app/dist', 'bin/tool': '/usr/bin/' } })
  const manifest = await readManifest(image)
  const config = await readJson(blob(manifest.config.digest))
  const diffIds = []
  for (const layer of manifest.layers) {
    const plain = createHash('sha256')
    for await (const chunk of createReadStream(blob(layer.digest)).pipe(createGunzip()) as AsyncIterable<Buffer>)
      plain.update(chunk)
    diffIds.push(`sha256:${plain.digest('hex')}`)
  }
  expect(diffIds).toHaveLength(2)
  expect(config['rootfs']).toMatchObject({ diff_ids: diffIds })
  expect((await headersOf(image, 1)).map(({ name }) => name)).toEqual(['usr', 'usr/bin', 'usr/bin/tool'])
})

test('the same files give the same digest, whenever and wherever they lie', async () => {
  const first = await build()
  await rm(images, { recursive: true })
  const moved = join(directory, 'elsewhere')
  execFileSync('cp', ['-r', workspace, moved])
  await utimes(join(moved, 'dist/server.js'), 1, 1)
  workspace = moved
  expect(await build()).toEqual(first)
  await put('dist/server.js', 'console.log(2)\n')
  expect((await build()).digest).not.toBe(first.digest)
})

test('takes names of any length and script', async () => {
  const name = `${'long-directory-name/'.repeat(12)}${'ä'.repeat(60)}.js`
  await put(`dist/${name}`, 'x')
  expect((await headersOf(await build())).map((header) => header.name)).toContain(`app/dist/${name}`)
})

test('a tag moves to the newest image; an older one stays, by digest', async () => {
  const first = await build()
  await put('dist/server.js', 'other')
  const second = await build()
  expect(await tagsOf()).toEqual({ v1: second.digest, none: first.digest })
})

test('builds of one repository at once all get their tags, and one content', async () => {
  const tags = Array.from({ length: 8 }, (_, number) => `t${String(number)}`)
  const built = await Promise.all(tags.map((tag) => build({ tags: [tag] })))
  const digest = built[0]?.digest ?? ''
  expect(await tagsOf()).toEqual(Object.fromEntries(tags.map((tag) => [tag, digest])))
  expect((await readdir(join(layoutOf(), 'blobs/sha256'))).filter((name) => name.startsWith('tmp'))).toEqual([])
})

test('what a killed build left is cleared away after a day, what is being written is not, in whatever container', async () => {
  const image = await build()
  const blobs = join(layoutOf(), 'blobs/sha256')
  // A process of another container, which does not exist here.
  const [old, young] = ['0', '1'].map((end) =>
    join(blobs, `tmp,${String(2 ** 22 - 1)},1,00000000-0000-0000-0000-00000000000${end}`),
  )
  for (const file of [old, young]) await writeFile(file ?? '', 'half')
  const yesterday = Date.now() / 1000 - 25 * 3600
  await utimes(old ?? '', yesterday, yesterday)
  expect(await build()).toEqual(image)
  expect([old, young].map((file) => existsSync(file ?? ''))).toEqual([false, true])
})

test('a blob that was damaged on disk is written anew', async () => {
  const image = await build()
  const layer = (await readManifest(image)).layers[0]?.digest ?? ''
  await writeFile(blob(layer), 'damaged')
  expect(await build()).toEqual(image)
  expect(
    createHash('sha256')
      .update(await readFile(blob(layer)))
      .digest('hex'),
  ).toBe(layer.slice(7))
})

test('an index that is none is refused rather than overwritten', async () => {
  await build()
  await writeFile(join(layoutOf(), 'index.json'), '{"schemaVersion":2')
  await expect(build()).rejects.toMatchObject({ code: 'refused' })
  expect(await readFile(join(layoutOf(), 'index.json'), 'utf8')).toBe('{"schemaVersion":2')
})

test('refuses what leads out of the checkout, before anything is tagged', async () => {
  await symlink('/etc/passwd', join(workspace, 'dist/link'))
  await expect(build()).rejects.toMatchObject({ code: 'refused', retryable: false })
  expect(existsSync(join(layoutOf(), 'index.json'))).toBe(false)
})

test.each(['', '-x', '.x', 'a b', 'a/b', 'ä', 'x'.repeat(129)])('refuses the tag %j', async (tag) => {
  await expect(build({ tags: [tag] })).rejects.toMatchObject({ code: 'refused' })
  expect(existsSync(images)).toBe(false)
})

test.each(['', '../x', 'a/../b', '/x', 'Shop', 'a//b', 'shop/blobs/x'])('refuses the repository %j', async (repository) => {
  await expect(build({ repository })).rejects.toMatchObject({ code: 'refused' })
})

test('a signal stops it, and leaves nothing half behind', async () => {
  const controller = new AbortController()
  controller.abort()
  await expect(build({}, controller.signal)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  await put('dist/large', 'x'.repeat(8 * 1024 * 1024))
  const during = new AbortController()
  const ended = build({}, during.signal).catch((error: unknown) => error)
  while (!(await readdir(join(layoutOf(), 'blobs/sha256')).catch(() => [])).some((name) => name.startsWith('tmp')))
    await new Promise(setImmediate)
  during.abort()
  expect(await ended).toMatchObject({ code: 'unavailable', retryable: true })
  expect((await readdir(join(layoutOf(), 'blobs/sha256'))).filter((name) => name.startsWith('tmp'))).toEqual([])
  expect(existsSync(join(layoutOf(), 'index.json'))).toBe(false)
})

test('waits for another process that writes the index, and goes on when that one is killed', async () => {
  await mkdir(layoutOf(), { recursive: true })
  const hold = `const db = new (require('libsql'))(process.argv[1]); db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    console.log('held'); setInterval(() => {}, 1000)`
  const holder = execFile(process.execPath, ['-e', hold, join(layoutOf(), '.belay-lock')], { cwd: import.meta.dirname })
  try {
    await once(holder, 'spawn')
    for await (const said of holder.stdout ?? []) if (String(said).includes('held')) break
    const waiting = new AbortController()
    const stopped = build({}, waiting.signal).catch((error: unknown) => error)
    while (lines.length === 0) await new Promise(setImmediate)
    waiting.abort()
    expect(await stopped).toMatchObject({ code: 'unavailable' })
    expect(existsSync(join(layoutOf(), 'index.json'))).toBe(false)
    const building = build()
    holder.kill('SIGKILL')
    const { digest } = await building
    expect(await tagsOf()).toEqual({ v1: digest })
  } finally {
    holder.kill('SIGKILL')
  }
})

test('a disk that cannot be written is worth another attempt', async () => {
  await writeFile(images, 'not a directory')
  await expect(build()).rejects.toMatchObject({ code: 'unavailable', retryable: true })
})

test('tells what it made, line by line', async () => {
  const image = await build()
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatch(/^layer dist\/ -> \/app\/dist: 3 files, \d+ bytes, sha256:/)
  expect(lines[1]).toBe(`files listed in sbom/${image.digest.slice(7)}.spdx.json`)
  expect(lines[2]).toBe(`image shop/app@${image.digest}, tagged v1`)
})

test('other tools read it', async () => {
  const found = (process.env['PATH'] ?? '').split(':').some((place) => existsSync(join(place, 'skopeo')))
  skipUnless(found, 'skopeo is not installed: apt-get install skopeo')
  const image = await build({
    user: 10_001,
    files: { 'dist/': '/app/dist', 'bin/tool': '/usr/bin/tool' },
    labels: { team: 'shop' },
  })
  const inspected = await skopeo('inspect', `oci:${layoutOf()}:v1`)
  expect(inspected).toMatchObject({ Digest: image.digest, Os: 'linux', Labels: { team: 'shop' } })
  expect(inspected['Layers']).toHaveLength(2)
  const config = await skopeo('inspect', '--config', `oci:${layoutOf()}:v1`)
  expect(config['config']).toMatchObject({ User: '10001', Entrypoint: ['node', '/app/dist/server.js'] })
  await promisify(execFile)('skopeo', ['copy', '--insecure-policy', `oci:${layoutOf()}:v1`, `dir:${join(directory, 'copied')}`])
})

async function skopeo(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await promisify(execFile)('skopeo', args)
  return JSON.parse(stdout) as Record<string, unknown>
}
