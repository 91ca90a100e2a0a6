import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLogShipper, type LogShipper } from './log-shipper.ts'
import { createSegmentSession, type SegmentSession } from './segment-session.ts'
import { createServerClient } from './server-client.ts'
import { openSpool, type LogName } from './spool.ts'
import { startRunnerApiDouble, type Fault, type RunnerApiDouble } from './testing/runner-api-double.ts'
import { silentLog, waitFor } from './testing/wait-for.ts'

const name: LogName = {
  runId: '0f8fad5b-d9cb-469f-a165-70867728950e',
  planDigest: `sha256:${'a'.repeat(64)}`,
  step: 'build',
  attempt: 1,
  epoch: 1,
  part: 'step',
}

describe('log shipper', () => {
  let directory: string
  let server: RunnerApiDouble
  const shippers: LogShipper[] = []
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'belay-spool-'))
    server = await startRunnerApiDouble()
  })
  afterEach(async () => {
    await Promise.all(shippers.splice(0).map((shipper) => shipper.stop()))
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  function createSession(which: LogName = name): SegmentSession {
    const { runId, epoch, planDigest, step } = which
    return createSegmentSession(client(), { runner: 'r1', runId, epoch, planDigest, steps: [step], lifetimeMs: 1_000 })
  }
  function client() {
    return createServerClient({ serverUrl: server.url, token: 'runner-token' })
  }
  function createShipper(): LogShipper {
    const shipper = createLogShipper({ directory, server: client(), createSession, log: silentLog })
    shippers.push(shipper)
    return shipper
  }
  const shown = (key = 'build/1/step') => server.logs.get(key)?.bytes.toString()
  const isClosed = (key = 'build/1/step') => server.logs.get(key)?.closed === true
  const spooled = () => readdirSync(directory, { recursive: true }).length

  it('ships while the step still writes, closes the log at its end, and keeps no copy', async () => {
    const shipper = createShipper()
    const log = shipper.open(name, createSession())
    log.write(Buffer.from('one\n'))
    await waitFor(() => shown() === 'one\n')
    expect(isClosed()).toBe(false)
    log.write(Buffer.from('two\n'))
    log.close()
    expect(await shipper.settle(10_000)).toBe(true)
    expect(shown()).toBe('one\ntwo\n')
    expect(isClosed()).toBe(true)
    expect(spooled()).toBe(0)
  })

  it('closes a log that stayed empty', async () => {
    const shipper = createShipper()
    shipper.open(name, createSession()).close()
    expect(await shipper.settle(10_000)).toBe(true)
    expect(shown()).toBe('')
    expect(isClosed()).toBe(true)
  })

  it.each<[string, Fault]>([
    ['breaks the connection', 'drop'],
    ['answers 500', { status: 500, body: { code: 'internal' } }],
    ['answers 503', { status: 503 }],
    ['answers 429', { status: 429 }],
    ['answers something else than agreed', { status: 200, body: { hello: 'world' } }],
  ])('loses nothing and doubles nothing when the server %s for a while', async (_, fault) => {
    let faults = 0
    server.fault = ({ path }) => (path.includes('/logs/') && faults++ < 3 ? fault : undefined)
    const shipper = createShipper()
    const log = shipper.open(name, createSession())
    log.write(Buffer.from('one\n'))
    await waitFor(() => faults > 1)
    log.write(Buffer.from('two\n'))
    log.close()
    expect(await shipper.settle(20_000)).toBe(true)
    expect(shown()).toBe('one\ntwo\n')
    expect(isClosed()).toBe(true)
  })

  it('goes back to where the server says its log ends', async () => {
    const shipper = createShipper()
    const log = shipper.open(name, createSession())
    log.write(Buffer.from('one\n'))
    await waitFor(() => shown() === 'one\n')
    // The server lost what it had said it had: the next part arrives beyond its end.
    server.logs.set('build/1/step', { bytes: Buffer.alloc(0), closed: false })
    log.write(Buffer.from('two\n'))
    log.close()
    expect(await shipper.settle(10_000)).toBe(true)
    expect(shown()).toBe('one\ntwo\n')
  })

  it('does not ask again and again at once when the answer changes nothing', async () => {
    let asked = 0
    server.fault = ({ path }) => {
      if (!path.includes('/logs/')) return undefined
      asked += 1
      return { status: 409, body: { end: 0 } }
    }
    const shipper = createShipper()
    const log = shipper.open(name, createSession())
    log.write(Buffer.from('one\n'))
    log.close()
    expect(await shipper.settle(700)).toBe(false)
    expect(asked).toBeLessThan(6)
  })

  it('drops a log of an epoch that a newer one has replaced', async () => {
    server.fault = ({ path }) =>
      path.includes('/logs/') ? { status: 409, body: { code: 'stale', detail: 'epoch 2 is newer' } } : undefined
    const shipper = createShipper()
    const log = shipper.open(name, createSession())
    log.write(Buffer.from('one\n'))
    expect(await shipper.settle(10_000)).toBe(true)
    log.write(Buffer.from('two\n'))
    log.close()
    expect(spooled()).toBe(0)
  })

  it('asks for a new token when the server no longer knows the old one', async () => {
    const session = createSession()
    let refused = false
    server.fault = ({ path }) => {
      if (!path.includes('/logs/') || refused) return undefined
      refused = true
      return { status: 401, body: { code: 'unauthenticated' } }
    }
    const shipper = createShipper()
    const log = shipper.open(name, session)
    log.write(Buffer.from('one\n'))
    log.close()
    expect(await shipper.settle(10_000)).toBe(true)
    expect(shown()).toBe('one\n')
    expect(server.tokens).toHaveLength(2)
  })

  it('keeps on disk what the server did not get, and ships it in its next life', async () => {
    server.fault = () => 'drop'
    const first = createShipper()
    const log = first.open(name, createSession())
    log.write(Buffer.from('whole\n'))
    log.close()
    await waitFor(() => existsSync(join(directory, name.runId, name.planDigest.replace(':', '-'), 'build', '1.1.step')))
    await first.stop()
    server.fault = undefined
    const second = createShipper()
    second.resume()
    expect(await second.settle(10_000)).toBe(true)
    expect(shown()).toBe('whole\n')
    expect(isClosed()).toBe(true)
    expect(server.tokens.at(-1)).toMatchObject({ steps: ['build'], epoch: 1, planDigest: name.planDigest })
    expect(spooled()).toBe(0)
  })

  it('ends a log that a kill cut with a line that says so', async () => {
    const cut = openSpool({ directory, name, log: silentLog })
    cut.write(Buffer.from('half a li'))
    await cut.whenGrown(0, AbortSignal.timeout(5_000))
    cut.leave()
    const shipper = createShipper()
    shipper.resume()
    expect(await shipper.settle(10_000)).toBe(true)
    expect(shown()).toBe('half a li\n[belay] cut off: the runner was killed\n')
    expect(isClosed()).toBe(true)
  })

  it('sends a long log in parts of a megabyte', async () => {
    const shipper = createShipper()
    const log = shipper.open(name, createSession())
    const line = Buffer.alloc(700_000, 'x')
    for (let count = 0; count < 5; count += 1) log.write(line)
    log.close()
    expect(await shipper.settle(20_000)).toBe(true)
    expect(server.logs.get('build/1/step')?.bytes.length).toBe(3_500_000)
  })
})
