import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { until } from '../../test/helpers/until.ts'
import { BelayError } from '../domain/errors.ts'
import { keepCheckpoint } from './checkpoint/keep-checkpoint.ts'
import { createQuiet } from './checkpoint/quiet.ts'
import { keepArtifacts } from './keep-artifacts.ts'

describe('what is sent to a server that refuses it', () => {
  let directory: string
  beforeEach(() => {
    skipUnless(existsSync('/proc/self/fd'), 'looks for open files in /proc, which only Linux has')
    directory = mkdtempSync(join(tmpdir(), 'belay-keep-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const openBelow = () =>
    readdirSync('/proc/self/fd').filter((descriptor) => {
      try {
        return readlinkSync(join('/proc/self/fd', descriptor)).startsWith(directory)
      } catch {
        // Closed meanwhile.
        return false
      }
    })
  const session = { withToken: async <T>(call: (token: string) => Promise<T>) => await call('token') }
  const { signal } = new AbortController()
  /** What is collected as garbage is closed, some time. */
  const sent: unknown[] = []
  /** Says no after the first bytes, as a server does whose disk is full. */
  const server = {
    async putArtifact(_token: string, _digest: string, body: AsyncIterable<Uint8Array>) {
      sent.push(body)
      await body[Symbol.asyncIterator]().next()
      throw new BelayError({ code: 'refused', message: 'no' })
    },
  }

  it('is held open no longer: an artifact', async () => {
    const bytes = Buffer.alloc(1024 * 1024, 1)
    writeFileSync(join(directory, 'a'), bytes)
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const artifacts = [{ path: 'a', digest, sizeBytes: bytes.length, executable: false }]
    await expect(keepArtifacts({ checkout: directory, artifacts, session, server, signal })).rejects.toThrow('no')
    await until('it is closed', () => openBelow().length === 0, 5_000)
  })

  it('is held open no longer: a checkpoint', async () => {
    const dirs = Object.fromEntries(
      ['root', 'checkout', 'home', 'tmp', 'output'].map((part) => [part, join(directory, 'work', part === 'root' ? '' : part)]),
    ) as Record<'root' | 'checkout' | 'home' | 'tmp' | 'output', string>
    for (const part of Object.values(dirs)) mkdirSync(part, { recursive: true })
    const quiet = createQuiet()
    await quiet.enter('run', signal)
    const scratch = join(directory, 'scratch')
    const keeping = keepCheckpoint({
      ...{ runId: 'run', dirs: { ...dirs, made: 1 }, scratch, quiet, session, server, signal, steps: () => ['a'] },
    })
    await expect(keeping).rejects.toThrow('no')
    await until('it is closed', () => openBelow().length === 0, 5_000)
  })
})
