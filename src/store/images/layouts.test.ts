import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../../test/contracts/store/samples.ts'
import { acquireHostLock } from '../../process/host-lock.ts'
import { findLayouts, sweepLayout } from './layouts.ts'

let root: string
let layout: string
const [old, young] = [1_000, 9_000]
const limits = { imagesBefore: 5_000, blobsBefore: 6_000 }

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'belay-layouts-'))
  layout = join(root, 'shop/app')
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true })
  await mkdir(join(layout, 'sbom'))
})

afterEach(() => rm(root, { recursive: true, force: true }))

async function write(content: string, writtenAt: number): Promise<string> {
  const digest = digestOf(content)
  await writeNamed(digest.slice(7), content, writtenAt)
  return digest
}

async function writeNamed(name: string, content: string, writtenAt: number): Promise<void> {
  const file = join(layout, 'blobs/sha256', name)
  await writeFile(file, content)
  await utimes(file, writtenAt / 1000, writtenAt / 1000)
}

/** An image of its own layer and one that all share. */
async function writeImage(name: string, writtenAt: number): Promise<string> {
  const [config, own, shared] = [
    await write(`{"config of":"${name}"}`, writtenAt),
    await write(`layer of ${name}`, writtenAt),
    await write('shared layer', old),
  ]
  const manifest = { schemaVersion: 2, config: { digest: config }, layers: [{ digest: own }, { digest: shared }] }
  const digest = await write(JSON.stringify(manifest), writtenAt)
  await writeFile(join(layout, 'sbom', `${digest.slice(7)}.spdx.json`), '{}')
  return digest
}

async function writeIndex(...digests: string[]): Promise<void> {
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: digests.map((digest) => ({ digest })) }),
  )
}

async function indexed(): Promise<string[]> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as { manifests: { digest: string }[] }
  return index.manifests.map(({ digest }) => digest)
}

const blobs = async () => (await readdir(join(layout, 'blobs/sha256'))).map((name) => `sha256:${name}`)
const layerOf = (name: string) => digestOf(`layer of ${name}`)

describe('sweepLayout', () => {
  it('removes images that are old and not needed, with what only they name', async () => {
    const [gone, needed, fresh] = [
      await writeImage('gone', old),
      await writeImage('needed', old),
      await writeImage('fresh', young),
    ]
    await writeIndex(gone, needed, fresh)
    const swept = await sweepLayout({ layout, needed: new Set([needed]), ...limits, dry: false })
    expect(swept.count).toBe(1)
    expect(await indexed()).toEqual([needed, fresh])
    const left = await blobs()
    expect(left).not.toContain(gone)
    expect(left).not.toContain(layerOf('gone'))
    for (const digest of [needed, fresh, layerOf('needed'), layerOf('fresh'), digestOf('shared layer')])
      expect(left).toContain(digest)
    expect(await readdir(join(layout, 'sbom'))).toHaveLength(2)
  })

  it('tells the same beforehand, and then changes nothing', async () => {
    await writeIndex(await writeImage('gone', old))
    const before = await blobs()
    const dry = await sweepLayout({ layout, needed: new Set(), ...limits, dry: true })
    expect(await blobs()).toEqual(before)
    expect(await sweepLayout({ layout, needed: new Set(), ...limits, dry: false })).toEqual(dry)
    expect(await blobs()).toEqual([])
  })

  it('keeps what an index of several platforms names', async () => {
    const image = await writeImage('arm', old)
    const index = await write(JSON.stringify({ schemaVersion: 2, manifests: [{ digest: image }] }), old)
    await sweepLayout({ layout, needed: new Set([index]), ...limits, dry: false })
    expect(await blobs()).toEqual(expect.arrayContaining([index, image, layerOf('arm')]))
  })

  it('leaves the young parts of an image that is not whole yet', async () => {
    await write('layer of the next', young)
    await sweepLayout({ layout, needed: new Set(), ...limits, dry: false })
    expect(await blobs()).toEqual([layerOf('the next')])
  })

  it('removes what killed pulls and builds had begun, and not what one writes now', async () => {
    await writeNamed('.pull-0123456789abcdef', 'half', old)
    await writeNamed('tmp,1,2,3', 'half', old)
    await writeNamed('.pull-fedcba9876543210', 'half', young)
    await sweepLayout({ layout, needed: new Set(), ...limits, dry: false })
    expect(await readdir(join(layout, 'blobs/sha256'))).toEqual(['.pull-fedcba9876543210'])
  })

  it('goes on where a killed one stopped: without its manifest the rest of an image goes', async () => {
    const gone = await writeImage('gone', old)
    await rm(join(layout, 'blobs/sha256', gone.slice(7)))
    await sweepLayout({ layout, needed: new Set(), ...limits, dry: false })
    expect(await blobs()).toEqual([])
  })

  it('leaves a layout alone in which somebody finishes an image', async () => {
    await writeImage('gone', old)
    const lock = acquireHostLock(join(layout, '.belay-lock'), 'the layout')
    try {
      expect(await sweepLayout({ layout, needed: new Set(), ...limits, dry: false })).toEqual({ count: 0, bytes: 0 })
    } finally {
      lock.release()
    }
    expect(await blobs()).toHaveLength(4)
  })
})

it('layouts are found at any depth, by what is in them', async () => {
  await mkdir(join(root, 'blog/blobs/sha256'), { recursive: true })
  await mkdir(join(root, 'empty'))
  expect((await findLayouts(root)).toSorted()).toEqual(['blog', 'shop/app'])
  expect(await findLayouts(join(root, 'nowhere'))).toEqual([])
})
