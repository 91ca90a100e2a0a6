import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { execa } from 'execa'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { layCheckpoint } from './lay-checkpoint.ts'
import { checkpointLimits } from './limits.ts'
import { packCheckpoint } from './pack-checkpoint.ts'

const { signal } = new AbortController()
let directory: string
let from: { checkout: string; home: string }
let file: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-checkpoint-'))
  from = { checkout: join(directory, 'from/checkout'), home: join(directory, 'from/home') }
  file = join(directory, 'archive')
  for (const part of [from.checkout, from.home, join(directory, 'to/checkout/.git')]) await mkdir(part, { recursive: true })
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const to = (path: string) => join(directory, 'to', path)
const take = (limits = checkpointLimits as { bytes: number; entries: number }) =>
  packCheckpoint({ dirs: from, file, limits, signal })
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const lay = (
  bytes: Buffer = readFileSync(file),
  digest = digestOf(bytes),
  limits = { ...checkpointLimits } as { bytes: number; entries: number },
) => layCheckpoint({ root: join(directory, 'to'), digest, bytes: chunksOf(bytes), signal, limits })

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield await Promise.resolve(bytes.subarray(at, at + 1000))
}

describe('a checkpoint', () => {
  it('gives the workspace back as it was: contents, modes, times, links, empty directories, odd names', async () => {
    await mkdir(join(from.checkout, 'deep/empty'), { recursive: true })
    const long = `deep/${'x'.repeat(150)} ü\n"`
    await writeFile(join(from.checkout, long), 'odd')
    await writeFile(join(from.checkout, 'tool'), 'binary', { mode: 0o755 })
    await chmod(join(from.checkout, 'tool'), 0o4755)
    await utimes(join(from.checkout, 'tool'), 1_000_000_000, 1_000_000_000)
    await symlink('../tool', join(from.checkout, 'deep/link'))
    await mkdir(join(from.checkout, 'closed'))
    await writeFile(join(from.checkout, 'closed/inside'), 'here')
    await chmod(join(from.checkout, 'closed'), 0o555)
    await writeFile(join(from.home, '.npmrc'), 'cache')
    const { digest, sizeBytes, entries } = await take()
    expect([digest, sizeBytes, entries]).toEqual([digestOf(readFileSync(file)), statSync(file).size, 8])
    await lay()
    expect(readFileSync(to(`checkout/${long}`), 'utf8')).toBe('odd')
    expect(statSync(to('checkout/tool'))).toMatchObject({ mode: 0o100755, mtimeMs: 1_000_000_000_000 })
    expect(readlinkSync(to('checkout/deep/link'))).toBe('../tool')
    expect(await readdir(to('checkout/deep/empty'))).toEqual([])
    expect(readFileSync(to('checkout/closed/inside'), 'utf8')).toBe('here')
    expect(readFileSync(to('home/.npmrc'), 'utf8')).toBe('cache')
    expect(existsSync(to('checkpoint.tar.gz'))).toBe(false)
  })

  it('replaces what the commit laid there, but not its repository, which it does not hold', async () => {
    await mkdir(join(from.checkout, '.git'))
    await writeFile(join(from.checkout, '.git/HEAD'), 'a step wrote this')
    await writeFile(join(from.checkout, 'kept'), 'new')
    await writeFile(to('checkout/.git/HEAD'), 'fetched again')
    await writeFile(to('checkout/kept'), 'old')
    await writeFile(to('checkout/removed-by-a-step'), 'old')
    await take()
    await lay()
    expect((await readdir(to('checkout'))).toSorted()).toEqual(['.git', 'kept'])
    expect([readFileSync(to('checkout/.git/HEAD'), 'utf8'), readFileSync(to('checkout/kept'), 'utf8')]).toEqual([
      'fetched again',
      'new',
    ])
  })

  it('that would be too large is not taken, and says what to do', async () => {
    await writeFile(join(from.checkout, 'a'), '')
    await truncate(join(from.checkout, 'a'), checkpointLimits.bytes + 1)
    await expect(take()).rejects.toMatchObject({ code: 'too_large', hint: expect.stringContaining('Remove what later steps') })
    await rm(file, { force: true })
    await rm(join(from.checkout, 'a'))
    for (const name of ['a', 'b', 'c']) await writeFile(join(from.checkout, name), '')
    await expect(take({ ...checkpointLimits, entries: 2 })).rejects.toMatchObject({ code: 'too_large' })
  })

  it('leaves out pipes, and is not taken with a link that leads out', async () => {
    await execa('mkfifo', [join(from.home, 'pipe')])
    expect((await take()).entries).toBe(0)
    await rm(file)
    await symlink('/etc', join(from.checkout, 'out'))
    await expect(take()).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('"checkout/out"') })
  })

  it('with other bytes than its digest says is not laid', async () => {
    await writeFile(to('checkout/there'), 'still')
    await take()
    await expect(lay(readFileSync(file), digestOf(Buffer.from('x')))).rejects.toMatchObject({ code: 'mismatch' })
    expect(existsSync(to('checkout/there'))).toBe(true)
  })

  it('that is no archive is refused', async () => {
    await expect(lay(Buffer.from('no archive'))).rejects.toMatchObject({ code: 'refused' })
    await expect(lay(gzipSync('x'.repeat(700)))).rejects.toMatchObject({ code: 'refused' })
  })

  type Header = Parameters<ReturnType<typeof pack>['entry']>[0]
  async function archiveOf(headers: Header[]): Promise<Buffer> {
    const archive = pack()
    for (const header of headers) archive.entry(header, header.type === undefined ? 'text' : '')
    archive.finalize()
    return gzipSync(await buffer(archive))
  }

  it.each<[string, Header[]]>([
    ['a path with ..', [{ name: 'checkout/../../out' }]],
    ['an absolute path', [{ name: '/tmp/out' }]],
    ['another part of the workspace', [{ name: 'lease.json' }]],
    ['the repository', [{ name: 'checkout/.git/hooks/post-checkout' }]],
    ['a link out', [{ name: 'checkout/a', type: 'symlink', linkname: '../../out' }]],
    ['an absolute link', [{ name: 'checkout/a', type: 'symlink', linkname: '/etc' }]],
    ['a link from one part into the other', [{ name: 'checkout/a', type: 'symlink', linkname: '../home' }]],
    ['a hard link', [{ name: 'checkout/a', type: 'link', linkname: 'checkout/b' }]],
    ['a device', [{ name: 'checkout/a', type: 'character-device' }]],
    ['a pipe', [{ name: 'checkout/a', type: 'fifo' }]],
    [
      'a path through a link',
      [
        { name: 'checkout/d', type: 'directory' },
        { name: 'checkout/a', type: 'symlink', linkname: 'd' },
        { name: 'checkout/a/b' },
      ],
    ],
  ])('that holds %s is refused', async (_, headers) => {
    await expect(lay(await archiveOf(headers))).rejects.toMatchObject({ code: 'refused' })
    expect(await readdir(directory)).not.toContain('out')
    expect(existsSync(to('checkout/d/b'))).toBe(false)
  })

  it('that holds more than one may is refused, whatever its size is as it lies there', async () => {
    await writeFile(join(from.checkout, 'a'), Buffer.alloc(100_000))
    await take()
    const bytes = readFileSync(file)
    await expect(lay(bytes, digestOf(bytes), { bytes: 99_999, entries: 10 })).rejects.toMatchObject({ code: 'too_large' })
    await expect(lay(bytes, digestOf(bytes), { bytes: 100_000, entries: 0 })).rejects.toMatchObject({ code: 'too_large' })
  })
})
