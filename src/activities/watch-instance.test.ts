import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../test/helpers/until.ts'
import { BelayError } from '../domain/errors.ts'
import type { Instance, Target } from '../drivers/targets/target.ts'
import { bake, waitUntilHealthy, type WatchInput } from './watch-instance.ts'

/** A real application, and a target that says of it what a real one will not say on demand. */
let server: Server
let status: number
let asked: { keepAlive: boolean }[]
let onAsk: () => void
let instance: Instance
let others: Instance[]
let serving: string
let away: number
let counts: { requests: number; errors: number }

const health = { http: '/healthz', intervalMs: 10, healthyAfter: 3, unhealthyAfter: 3, timeoutMs: 5_000 }
const controller = () => new AbortController()

beforeEach(async () => {
  status = 200
  asked = []
  onAsk = () => undefined
  away = 0
  others = []
  counts = { requests: 0, errors: 0 }
  serving = 'sha256:new'
  server = createServer((request, response) => {
    asked.push({ keepAlive: request.headers.connection === 'keep-alive' })
    onAsk()
    response.writeHead(status).end(request.url)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  instance = {
    id: 'one',
    digest: 'sha256:new',
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    running: true,
  }
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const unused = () => Promise.reject(new Error('a watch changes nothing'))
const target: Target = {
  kind: 'process',
  ...{ stage: unused, activate: unused, retire: unused, clear: unused },
  observe: () => Promise.resolve({ servingDigest: serving, running: [], fence: 1 }),
  openEdges: unused,
  listInstances: () => {
    if (away > 0) {
      away -= 1
      return Promise.reject(new BelayError({ code: 'unavailable', message: 'away', retryable: true }))
    }
    return Promise.resolve([{ ...instance }, ...others])
  },
  traffic: () => Promise.resolve({ ...counts }),
}
const input = (more: Partial<typeof health> = {}, signal = controller().signal): WatchInput => ({
  ...{ target, environment: 'production', digest: 'sha256:new', signal },
  health: { ...health, ...more },
})

it('is healthy after so many good answers in a row, each on a connection of its own', async () => {
  onAsk = () => {
    status = asked.length === 2 ? 503 : 200
  }
  expect(await waitUntilHealthy(input())).toEqual({ healthy: true, probes: 5, requests: 0, errors: 0 })
  expect(asked).toEqual(Array.from({ length: 5 }, () => ({ keepAlive: false })))
})

it('asks one that is starting soon again, whatever the interval is', async () => {
  status = 503
  onAsk = () => {
    if (asked.length === 4) status = 200
  }
  const patient = { intervalMs: 3_600_000, healthyAfter: 1, timeoutMs: 3_600_000 }
  expect(await waitUntilHealthy(input(patient))).toMatchObject({ healthy: true, probes: 4 })
})

it('is not healthy in time: the reason says what was asked and what came', async () => {
  status = 302
  const report = await waitUntilHealthy(input({ timeoutMs: 100 }))
  expect(report).toMatchObject({ healthy: false, reason: 'not healthy within 100 ms: GET /healthz: answered 302' })
})

it('is unhealthy at once when its process has gone, with how and with what it printed', async () => {
  instance = { ...instance, running: false, exit: 'exited with code 7', tail: 'Error: no database\n' }
  expect(await waitUntilHealthy(input())).toMatchObject({
    healthy: false,
    reason: 'its process exited with code 7; it printed last:\nError: no database',
    probes: 0,
  })
})

it('does not hold it against the release when the target is away for a moment', async () => {
  away = 3
  expect(await waitUntilHealthy(input())).toMatchObject({ healthy: true })
})

it('stops at once when told to, with the reason given', async () => {
  const stopping = controller()
  status = 503
  const waiting = waitUntilHealthy(input({ timeoutMs: 60_000, intervalMs: 60_000 }, stopping.signal))
  const stopped = waiting.catch((error: unknown) => error)
  await until('it was asked', () => asked.length > 0, 5_000)
  stopping.abort(new Error('cancelled from outside'))
  expect(await stopped).toMatchObject({ message: 'cancelled from outside' })
})

it('watches for the whole bake and reports the traffic of that time only', async () => {
  counts = { requests: 10, errors: 2 }
  onAsk = () => {
    counts = { requests: counts.requests + 1, errors: 2 }
  }
  const report = await bake({ ...input(), bakeMs: 200 })
  expect(report).toMatchObject({ healthy: true, requests: asked.length, errors: 0, probes: asked.length })
  expect(asked.length).toBeGreaterThan(1)
})

it('is unhealthy after so many bad answers in a row under traffic', async () => {
  onAsk = () => {
    status = asked.length >= 5 || asked.length === 2 ? 503 : 200
  }
  const report = await bake({ ...input(), bakeMs: 60_000 })
  expect(report).toMatchObject({ healthy: false, reason: 'GET /healthz failed 3 times in a row: answered 503', probes: 7 })
})

it('does not end on an open question: after a bad answer it asks on', async () => {
  status = 503
  expect(await bake({ ...input(), bakeMs: 0 })).toMatchObject({ healthy: false, probes: 3 })
  asked = []
  onAsk = () => {
    status = asked.length === 1 ? 503 : 200
  }
  expect(await bake({ ...input(), bakeMs: 0 })).toMatchObject({ healthy: true, probes: 2 })
})

it('a release that died and was started again meanwhile is unhealthy', async () => {
  onAsk = () => {
    if (asked.length === 3) instance = { ...instance, exit: 'was ended by SIGSEGV' }
  }
  const report = await bake({ ...input(), bakeMs: 60_000 })
  expect(report).toMatchObject({ healthy: false, reason: 'its process was ended by SIGSEGV' })
})

it('one that had died before, and lives, is not', async () => {
  instance = { ...instance, exit: 'was ended by SIGSEGV' }
  expect(await bake({ ...input(), bakeMs: 50 })).toMatchObject({ healthy: true })
})

describe('of several instances', () => {
  beforeEach(() => {
    others = [{ ...instance, id: 'two', url: instance.url.replace('http://', 'http://two@') }]
  })

  it('each is asked, and one that answers badly keeps all of them from being healthy', async () => {
    others = [{ ...instance, id: 'two', url: 'http://127.0.0.1:1' }]
    const report = await waitUntilHealthy(input({ timeoutMs: 100 }))
    expect(report).toMatchObject({ healthy: false, reason: expect.stringContaining('ECONNREFUSED') })
  })

  it('they are healthy together after so many good rounds', async () => {
    expect(await waitUntilHealthy(input())).toEqual({ healthy: true, probes: 6, requests: 0, errors: 0 })
  })

  it('one that is not there makes the release unhealthy at once', async () => {
    others = [{ ...instance, id: 'two', running: false, exit: 'was killed: over its memory limit' }]
    expect(await waitUntilHealthy(input())).toMatchObject({
      healthy: false,
      reason: 'its process was killed: over its memory limit',
    })
  })

  it('one that dies under traffic makes the release unhealthy', async () => {
    onAsk = () => {
      if (asked.length === 4) others = others.map((other) => ({ ...other, exit: 'exited with code 1' }))
    }
    expect(await bake({ ...input(), bakeMs: 60_000 })).toMatchObject({ healthy: false, reason: 'its process exited with code 1' })
  })
})

it('is unhealthy when the target serves something else', async () => {
  serving = 'sha256:old'
  const report = await bake({ ...input(), bakeMs: 0 })
  expect(report).toMatchObject({ healthy: false, reason: 'production serves another digest: sha256:old' })
})
