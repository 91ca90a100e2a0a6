import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blobFile, writeImage, type ImageOptions, type TarEntry } from '../../../../test/helpers/oci-image.ts'
import { openDirectory } from '../../../../test/helpers/sample-app.ts'
import { BelayError } from '../../../domain/errors.ts'
import { readImage } from './image-layout.ts'
import { unpackImage } from './unpack-image.ts'

let base: string
let layout: string
let directory: string
beforeEach(() => {
  base = openDirectory()
  layout = `${base}/images/shop/app`
  directory = `${base}/apps/production`
})
afterEach(() => {
  rmSync(base, { recursive: true, force: true })
})

async function unpack(digest: string): Promise<string> {
  const { layers } = await readImage(layout, digest)
  return unpackImage({ layout, digest, layers, directory })
}
const unpackNew = async (layers: TarEntry[][], more: Partial<ImageOptions> = {}) =>
  unpack(await writeImage({ layout, layers, ...more }))
const read = (root: string, path: string) => readFileSync(`${root}/${path}`, 'utf8')

it.each([{ gzip: false }, { gzip: true }])('lays the layers over each other, with whiteouts, %o', async ({ gzip }) => {
  const root = await unpackNew(
    [
      [
        { name: 'app/', type: 'directory' },
        { name: 'app/one', content: 'old', mode: 0o600 },
        { name: 'app/two', content: 'two' },
        { name: 'app/kept/a', content: 'a' },
        { name: 'app/hidden/b', content: 'b' },
      ],
      [
        { name: './app/one', content: 'new', mode: 0o4755 },
        { name: 'app/.wh.two', content: '' },
        { name: 'app/hidden/.wh..wh..opq', content: '' },
        { name: 'app/hidden/c', content: 'c' },
        { name: 'app/link', type: 'symlink', linkname: '../app/one' },
        { name: 'app/hard', type: 'link', linkname: 'app/one' },
      ],
    ],
    { gzip },
  )
  expect(read(root, 'app/one')).toBe('new')
  expect(read(root, 'app/link')).toBe('new')
  expect(read(root, 'app/hard')).toBe('new')
  expect(readdirSync(`${root}/app`).sort()).toEqual(['hard', 'hidden', 'kept', 'link', 'one'])
  expect(readdirSync(`${root}/app/hidden`)).toEqual(['c'])
  expect(statSync(`${root}/app/one`).mode & 0o7777).toBe(0o755)
})

it('is done once: a second call reads nothing', async () => {
  const digest = await writeImage({ layout, layers: [[{ name: 'file', content: 'x' }]] })
  const { layers } = await readImage(layout, digest)
  const root = await unpackImage({ layout, digest, layers, directory })
  for (const layer of layers) rmSync(blobFile(layout, layer.digest))
  expect(await unpackImage({ layout, digest, layers, directory })).toBe(root)
})

it('two at once leave one whole content', async () => {
  const digest = await writeImage({ layout, layers: [[{ name: 'file', content: 'x'.repeat(100_000) }]] })
  const [one, two] = await Promise.all([unpack(digest), unpack(digest)])
  expect(one).toBe(two)
  expect(readdirSync(directory)).toEqual([digest.slice('sha256:'.length)])
})

describe('refuses, and leaves nothing behind', () => {
  const outside = (): string => `${base}/outside`
  const hostile: Record<string, () => TarEntry[][]> = {
    'an absolute path': () => [[{ name: `${outside()}/x`, content: 'x' }]],
    'a path that climbs out': () => [[{ name: '../../../outside/x', content: 'x' }]],
    'a path that climbs out behind a name': () => [[{ name: 'a/../../../../outside/x', content: 'x' }]],
    'a whiteout of what lies above': () => [[{ name: '.wh...', content: '' }]],
    'a link to an absolute place': () => [[{ name: 'etc', type: 'symlink', linkname: '/etc' }]],
    'a link that climbs out': () => [[{ name: 'a/up', type: 'symlink', linkname: '../../..' }]],
    'a file behind a link': () => [
      [
        { name: 'real/', type: 'directory' },
        { name: 'link', type: 'symlink', linkname: 'real' },
        { name: 'link/x', content: 'x' },
      ],
    ],
    'a directory made over a link, and a file in it, through a link of an earlier layer': () => [
      [{ name: 'p/q/r', type: 'symlink', linkname: '../..' }],
      [{ name: 'p/q/r/outside/x', content: 'x' }],
    ],
    'links that lead out together': () => [
      [
        { name: 'p/q/r', type: 'symlink', linkname: '../..' },
        { name: 's', type: 'symlink', linkname: 'p/q/r/..' },
      ],
    ],
    'a hard link to something outside': () => [[{ name: 'x', type: 'link', linkname: '../../../outside/secret' }]],
    'a hard link through a link': () => [
      [
        { name: 'd/file', content: 'x' },
        { name: 'l', type: 'symlink', linkname: 'd' },
        { name: 'h', type: 'link', linkname: 'l/file' },
      ],
    ],
    'a device': () => [[{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }]],
    'a pipe': () => [[{ name: 'pipe', type: 'fifo' }]],
  }

  it.each(Object.keys(hostile))('%s', async (name) => {
    mkdirSync(outside())
    writeFileSync(`${outside()}/secret`, 'secret')
    await expect(unpackNew(hostile[name]?.() ?? [])).rejects.toMatchObject({ code: 'refused' })
    expect(readdirSync(outside())).toEqual(['secret'])
    expect(readdirSync(directory)).toEqual([])
  })

  it('an archive that is cut, or none', async () => {
    const digest = await writeImage({
      layout,
      layers: [[{ name: 'file', content: 'x' }]],
      layerMediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    })
    await expect(unpack(digest)).rejects.toMatchObject({ code: 'refused' })
  })

  it('a layer of a kind it does not know', async () => {
    const layerMediaType = 'application/vnd.oci.image.layer.v1.tar+zstd'
    await expect(unpackNew([[{ name: 'file', content: 'x' }]], { layerMediaType })).rejects.toMatchObject({ code: 'not_yet' })
  })
})

describe('believes nothing but digests', () => {
  it.each(['layer', 'manifest', 'config'])('a %s with other bytes', async (which) => {
    const digest = await writeImage({ layout, layers: [[{ name: 'file', content: 'x'.repeat(5000) }]] })
    const manifest = JSON.parse(readFileSync(blobFile(layout, digest), 'utf8')) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    const victim = { layer: manifest.layers[0]?.digest ?? '', manifest: digest, config: manifest.config.digest }[which] ?? ''
    const bytes = readFileSync(blobFile(layout, victim))
    const at = which === 'layer' ? 600 : bytes.length - 2
    bytes[at] = (bytes[at] ?? 0) ^ 1
    writeFileSync(blobFile(layout, victim), bytes)
    await expect(unpack(digest)).rejects.toMatchObject({ code: 'mismatch' })
    expect(existsSync(`${directory}/${digest.slice('sha256:'.length)}`)).toBe(false)
  })

  it.each([1, 200_000])('a layer with %i bytes behind its compressed data', async (count) => {
    const digest = await writeImage({ layout, layers: [[{ name: 'file', content: 'x' }]], gzip: true })
    const { layers } = await readImage(layout, digest)
    const file = blobFile(layout, layers[0]?.digest ?? '')
    writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.alloc(count)]))
    const error = await unpack(digest).catch((refused: unknown) => refused)
    expect(error).toBeInstanceOf(BelayError)
    expect(['mismatch', 'refused']).toContain(error instanceof BelayError ? error.code : undefined)
    expect(readdirSync(directory)).toEqual([])
  })

  it('says so when the image is not there', async () => {
    await expect(unpack(`sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'not_found' })
  })
})

it('refuses a user by name, as that would be looked up in a file of the image', async () => {
  const digest = await writeImage({ layout, layers: [], config: { Entrypoint: ['x'], User: 'app' } })
  await expect(readImage(layout, digest)).rejects.toMatchObject({ code: 'refused' })
})
