import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf, streamOf } from '../../../test/contracts/store/samples.ts'
import { createBlobFiles } from './files.ts'

let directory: string
let incoming: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-blobs-'))
  incoming = join(directory, 'incoming')
})

afterEach(() => rm(directory, { recursive: true, force: true }))

describe('createBlobFiles', () => {
  test('names a file by its digest, for this user alone', async () => {
    const blobs = await createBlobFiles({ directory })
    const digest = digestOf('x')
    await blobs.put(digest, streamOf('x'))
    const hex = digest.slice('sha256:'.length)
    const { mode } = await stat(join(directory, 'sha256', hex.slice(0, 2), hex.slice(2)))
    expect(mode & 0o777).toBe(0o600)
  })

  test('leaves no temporary file behind, whether it went well or not', async () => {
    const blobs = await createBlobFiles({ directory })
    await blobs.put(digestOf('x'), streamOf('x'))
    await expect(blobs.put(digestOf('x2'), streamOf('y'))).rejects.toMatchObject({ code: 'mismatch' })
    expect(await readdir(incoming)).toEqual([])
  })

  test('clears away what a killed process left, but not what another is writing now', async () => {
    await mkdir(incoming)
    for (const name of ['old', 'new']) await writeFile(join(incoming, name), 'half')
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 60 * 60
    await utimes(join(incoming, 'old'), twoDaysAgo, twoDaysAgo)
    await createBlobFiles({ directory })
    expect(await readdir(incoming)).toEqual(['new'])
  })
})
