import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findFreePort } from './free-port.ts'
import { acquireHostLock, waitForHostLock } from './host-lock.ts'
import { spawnProcess, type Spawned } from './spawn.ts'

describe('host-lock', () => {
  let directory: string
  let file: string
  let holder: Spawned | undefined
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'belay-lock-'))
    file = join(directory, 'lock.db')
  })
  afterEach(async () => {
    await holder?.stop(0)
    holder = undefined
    rmSync(directory, { recursive: true, force: true })
  })

  it('has one owner at a time, and says who that is', () => {
    const lock = acquireHostLock(file, 'the directory')
    expect(() => acquireHostLock(file, 'the directory')).toThrow(
      new RegExp(`the directory is in use by process ${String(process.pid)},`),
    )
    lock.release()
    acquireHostLock(file, 'the directory').release()
  })

  it('is held all the same where nobody can write down who holds it', () => {
    // As on a full disk.
    mkdirSync(`${file}.holder`)
    const lock = acquireHostLock(file, 'the directory')
    expect(() => acquireHostLock(file, 'the directory')).toThrow('the directory is in use by another process')
    lock.release()
    acquireHostLock(file, 'the directory').release()
  })

  it('is waited for as long as a signal allows', async () => {
    const lock = acquireHostLock(file, 'the directory')
    await expect(waitForHostLock(file, 'the directory', AbortSignal.timeout(100))).rejects.toMatchObject({ code: 'conflict' })
    setTimeout(() => lock.release(), 100)
    const next = await waitForHostLock(file, 'the directory', new AbortController().signal)
    next.release()
  })

  it('is given back by the kernel when its owner is killed', async () => {
    const script = `
      const Database = require('libsql')
      const database = new Database(process.argv[1], { timeout: 0 })
      database.exec('PRAGMA locking_mode = EXCLUSIVE')
      database.exec('BEGIN EXCLUSIVE')
      console.log('locked')
      setInterval(() => undefined, 1000)`
    let output = ''
    const args = ['-e', script, file]
    holder = await spawnProcess({
      file: process.execPath,
      args,
      cwd: process.cwd(),
      env: {},
      output: (chunk) => (output += chunk.toString()),
    })
    while (!output.includes('locked')) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(() => acquireHostLock(file, 'it')).toThrow(/in use/)
    process.kill(holder.pid, 'SIGKILL')
    await holder.done
    acquireHostLock(file, 'it').release()
  })
})

describe('free-port', () => {
  it('gives a port that can be listened on', async () => {
    const port = await findFreePort()
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    expect(server.address()).toMatchObject({ port })
    await new Promise((resolve) => server.close(resolve))
  })
})
