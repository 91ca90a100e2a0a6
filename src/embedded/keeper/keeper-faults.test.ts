/** Under traffic: nothing is lost by switches, and a killed keeper costs only the moment until it is back. */
import { Agent, get } from 'node:http'
import { mkdirSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  endKeeper,
  livingApps,
  livingEdges,
  startKeeperProcess,
  type KeeperProcess,
} from '../../../test/helpers/keeper-process.ts'
import { laySampleApp, openDirectory, sampleDigest } from '../../../test/helpers/sample-app.ts'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { until } from '../../../test/helpers/until.ts'
import { createKeeperClient } from '../../drivers/targets/keeper-client.ts'
import { edges } from '../../drivers/edges/index.ts'
import { findFreePort } from '../../process/free-port.ts'
import type { EnvironmentView, InstanceView } from './keeper-api.ts'

let base: string
let directory: string
let apps: string
let keeper: KeeperProcess
let port: number
let fence = 0

beforeEach(async () => {
  base = openDirectory()
  directory = `${base}/keeper`
  apps = `${base}/apps`
  mkdirSync(apps, { mode: 0o755 })
  fence = 0
  keeper = await startKeeperProcess({ directory, apps })
  port = await findFreePort()
  await call('PUT', '/edge', { host: '127.0.0.1', port })
})
afterEach(async () => {
  await endKeeper(directory)
  rmSync(base, { recursive: true, force: true })
})

const call = (method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown) =>
  createKeeperClient(keeper.socket).call(z.unknown(), method, `/environments/production${path}`, body)
const view = async () => (await call('GET', '')) as EnvironmentView
const operation = () => ({ fence: ++fence, operationId: `operation ${String(fence)}` })

async function stage(letter: string): Promise<void> {
  const place = laySampleApp(apps, letter)
  const { url } = (await call('POST', '/stage', {
    ...operation(),
    ...{ digest: sampleDigest(letter), directory: place, workingDirectory: place, env: {} },
    command: ['node', `${place}/app.cjs`, letter],
  })) as InstanceView
  const answers = () =>
    ask(url, false).then(
      () => true,
      () => false,
    )
  await until('it listens', answers, 10_000)
}

const activate = (letter: string) => call('POST', '/activate', { ...operation(), digest: sampleDigest(letter) })

const kept = new Agent({ keepAlive: true, maxSockets: 4 })

function ask(url: string, keepAlive: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    get(`${url}/version`, { agent: keepAlive ? kept : false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.once('error', reject)
      response.once('end', () => {
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`${String(response.statusCode)} ${text}`))
      })
    }).once('error', reject)
  })
}

/** Asks without pause from eight places, half of them on kept connections, until told to stop. */
function traffic(): { stop(): Promise<{ served: Record<string, number>; failures: string[] }>; failures: string[] } {
  const served: Record<string, number> = {}
  const failures: string[] = []
  let going = true
  const asking = Array.from({ length: 8 }, async (_, index) => {
    while (going) {
      try {
        const version = await ask(`http://127.0.0.1:${String(port)}`, index % 2 === 0)
        served[version] = (served[version] ?? 0) + 1
      } catch (error) {
        failures.push(String(error))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
  })
  return {
    failures,
    async stop() {
      going = false
      await Promise.all(asking)
      return { served, failures }
    },
  }
}

describe.each(edges)('with the edge $name', (driver) => {
  beforeEach(async () => {
    const obstacle = driver.findObstacle()
    skipUnless(obstacle === undefined, obstacle ?? '')
    await call('PUT', '/edge', { driver: driver.name, host: '127.0.0.1', port })
  })

  it('thirty switches under traffic, each with its drain and stop, drop no request', async () => {
    await stage('a')
    await activate('a')
    const load = traffic()
    for (let turn = 0; turn < 15; turn++) {
      for (const letter of ['b', 'a']) {
        await stage(letter)
        await activate(letter)
        await call('POST', '/retire', operation())
      }
    }
    const { served, failures } = await load.stop()
    expect(failures).toEqual([])
    expect(served['a']).toBeGreaterThan(100)
    expect(served['b']).toBeGreaterThan(100)
    expect(livingApps(directory)).toHaveLength(1)
  })

  it('applications survive the kill of their keeper; the next one adopts them and serves what was recorded', async () => {
    await stage('a')
    await activate('a')
    await stage('b')
    const before = livingApps(directory)
    const standing = livingEdges(directory)
    const load = traffic()
    for (let times = 0; times < 3; times++) {
      await keeper.kill()
      expect(livingApps(directory)).toEqual(before)
      keeper = await startKeeperProcess({ directory, apps })
      await until('it serves again', () => ask(`http://127.0.0.1:${String(port)}`, false), 10_000)
      // An edge in the keeper is away as long as the keeper is; one of its own never is.
      expect(driver.name === 'embedded' ? [] : load.failures).toEqual([])
      const failed = load.failures.length
      await call('POST', '/activate', { ...operation(), digest: sampleDigest(times % 2 === 0 ? 'b' : 'a') })
      expect(load.failures.slice(failed)).toEqual([])
    }
    const { served } = await load.stop()
    expect(Object.keys(served).sort()).toEqual(['a', 'b'])
    expect(livingApps(directory)).toEqual(before)
    expect((await view()).instances.map(({ restarts }) => restarts)).toEqual([0, 0])
    expect(livingEdges(directory)).toEqual(standing)
  })
})

describe('with an edge that is a process', () => {
  beforeEach(async () => {
    const obstacle = edges[1].findObstacle()
    skipUnless(obstacle === undefined, obstacle ?? '')
    await call('PUT', '/edge', { driver: 'haproxy', host: '127.0.0.1', port })
    await stage('a')
    await activate('a')
  })
  const answers = () => until('it serves', () => ask(`http://127.0.0.1:${String(port)}`, false).catch(() => undefined), 10_000)

  it('comes back when it is killed, with the same route', async () => {
    const [first] = livingEdges(directory)
    for (let times = 0; times < 3; times++) {
      const [edge] = livingEdges(directory)
      process.kill(edge?.pid ?? 0, 'SIGKILL')
      expect(await answers()).toBe('a')
      expect(livingEdges(directory)).toHaveLength(1)
    }
    expect(livingEdges(directory)[0]?.pid).not.toBe(first?.pid)
    await stage('b')
    await activate('b')
    expect(await answers()).toBe('b')
  })

  it('comes back with the next keeper, if both were killed', async () => {
    await keeper.kill()
    for (const { pid } of livingEdges(directory)) process.kill(pid, 'SIGKILL')
    keeper = await startKeeperProcess({ directory, apps })
    expect(await answers()).toBe('a')
    expect(livingEdges(directory)).toHaveLength(1)
  })

  it('comes back when it is killed after its adoption', async () => {
    await keeper.kill()
    keeper = await startKeeperProcess({ directory, apps })
    const [adopted] = livingEdges(directory)
    process.kill(adopted?.pid ?? 0, 'SIGKILL')
    expect(await answers()).toBe('a')
  })

  it('counts on while there is no keeper, and the next one has the sum', async () => {
    const requests = async () => (await view()).traffic[sampleDigest('a')]?.requests
    for (let times = 0; times < 5; times++) await answers()
    await until('they are counted', async () => (await requests()) === 5, 5_000)
    await keeper.kill()
    for (let times = 0; times < 7; times++) await answers()
    keeper = await startKeeperProcess({ directory, apps })
    expect(await until('all are counted', async () => ((await requests()) ?? 0) >= 12 && requests(), 5_000)).toBe(12)
  })

  it('an application that moves while the keeper is away is reached at its new port', async () => {
    await keeper.kill()
    for (const { pid } of livingApps(directory)) process.kill(pid, 'SIGKILL')
    await until('it has gone', () => livingApps(directory).length === 0, 5_000)
    keeper = await startKeeperProcess({ directory, apps })
    expect(await answers()).toBe('a')
    expect((await view()).instances).toMatchObject([{ restarts: 1 }])
  })
})

it('an adopted application that dies is started again', async () => {
  await stage('a')
  await activate('a')
  await keeper.kill()
  keeper = await startKeeperProcess({ directory, apps })
  await fetch(`http://127.0.0.1:${String(port)}/crash`)
  await until('it answers again', async () => (await view()).instances[0]?.restarts === 1, 10_000)
  expect(await ask(`http://127.0.0.1:${String(port)}`, false)).toBe('a')
})

it('an application that died while the keeper was away is started again, a staged one is not', async () => {
  await stage('a')
  await activate('a')
  await stage('b')
  await keeper.kill()
  for (const { pid } of livingApps(directory)) process.kill(pid, 'SIGKILL')
  await until('both have gone', () => livingApps(directory).length === 0, 5_000)
  keeper = await startKeeperProcess({ directory, apps })
  expect(await ask(`http://127.0.0.1:${String(port)}`, false)).toBe('a')
  const staged = (await view()).instances.find(({ digest }) => digest === sampleDigest('b'))
  expect(staged).toMatchObject({ running: false, exit: 'ended while the keeper was away' })
})

it('fences on after a kill: what was seen and answered is on disk', async () => {
  await stage('a')
  const done = { ...operation(), digest: sampleDigest('a') }
  await call('POST', '/activate', done)
  await keeper.kill()
  keeper = await startKeeperProcess({ directory, apps })
  expect(await call('POST', '/activate', done)).toEqual({})
  await expect(call('POST', '/clear', { fence: fence - 1, operationId: 'late' })).rejects.toMatchObject({ code: 'stale' })
  expect(await ask(`http://127.0.0.1:${String(port)}`, false)).toBe('a')
})
