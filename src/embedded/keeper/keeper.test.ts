// Long because each rule of the keeper is one short test on one real keeper.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { laySampleApp, openDirectory, sampleDigest } from '../../../test/helpers/sample-app.ts'
import { endKeeper, livingApps, livingEdges } from '../../../test/helpers/keeper-process.ts'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { until } from '../../../test/helpers/until.ts'
import { createKeeperClient } from '../../drivers/targets/keeper-client.ts'
import { messageOf } from '../../domain/errors.ts'
import { haproxyEdge } from '../../drivers/edges/haproxy/haproxy-edge.ts'
import { edgeNames, findEdge } from '../../drivers/edges/index.ts'
import { findFreePort } from '../../process/free-port.ts'
import type { EnvironmentView, InstanceView } from './keeper-api.ts'
import { startKeeper, type Keeper } from './keeper.ts'

let base: string
let directory: string
let apps: string
let keeper: Keeper
let fence = 0
const log: string[] = []

const start = () => startKeeper({ directory, apps, log: (line) => void log.push(line) })
const call = (method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown) =>
  createKeeperClient(keeper.socket).call(z.unknown(), method, `/environments/production${path}`, body)
const view = async () => (await call('GET', '')) as EnvironmentView
const operation = (operationId: string) => ({ fence: ++fence, operationId })
const get = async (path: string) => (await fetch(`${await edge()}${path}`)).text()

beforeEach(async () => {
  base = openDirectory()
  directory = `${base}/keeper`
  apps = `${base}/apps`
  mkdirSync(apps, { mode: 0o755 })
  fence = 0
  keeper = await start()
  await call('PUT', '/edge', { host: '127.0.0.1', port: 0 })
})
afterEach(async () => {
  await keeper.stop()
  await endKeeper(directory)
  rmSync(base, { recursive: true, force: true })
})

async function edge(): Promise<string> {
  return `http://127.0.0.1:${String((await view()).edge?.port)}`
}

async function stage(letter: string, more: Record<string, unknown> = {}): Promise<InstanceView> {
  const place = laySampleApp(apps, letter)
  const staged = (await call('POST', '/stage', {
    ...operation(`stage ${letter}`),
    digest: sampleDigest(letter),
    directory: place,
    workingDirectory: place,
    command: ['node', `${place}/app.cjs`, letter],
    env: { GREETING: 'hello' },
    ...more,
  })) as InstanceView
  await until('it listens', () => fetch(`${staged.url}/version`).then(() => true, () => false), 10_000) // prettier-ignore
  return staged
}

const activate = (letter: string) =>
  call('POST', '/activate', { ...operation(`activate ${letter}`), digest: sampleDigest(letter) })

it('answers 503 while nothing is deployed', async () => {
  expect((await fetch(await edge())).status).toBe(503)
})

it('stages beside what serves, switches, and retires what traffic does not go to', async () => {
  await stage('a')
  expect(await activate('a')).toEqual({})
  await stage('b')
  expect(await get('/version')).toBe('a')
  expect(await activate('b')).toEqual({ previousDigest: sampleDigest('a') })
  expect(await get('/version')).toBe('b')
  expect((await view()).instances.map(({ running }) => running)).toEqual([true, true])
  await call('POST', '/retire', operation('retire'))
  expect((await view()).instances.map(({ digest }) => digest)).toEqual([sampleDigest('b')])
  expect(livingApps(directory)).toHaveLength(1)
})

it('makes way for a release that cannot run beside another: what serves is stopped before it starts', async () => {
  await stage('a')
  await activate('a')
  await stage('b', { alone: true })
  expect((await view()).instances.map(({ digest }) => digest)).toEqual([sampleDigest('b')])
  expect((await fetch(await edge())).status).toBe(503)
  await activate('b')
  expect(await get('/version')).toBe('b')
  // Again, as after a kill: what serves is the release itself.
  await stage('b', { alone: true })
  expect(await get('/version')).toBe('b')
})

it('clears: takes traffic off and stops everything', async () => {
  await stage('a')
  await activate('a')
  await call('POST', '/clear', operation('clear'))
  expect((await fetch(await edge())).status).toBe(503)
  expect(await view()).toMatchObject({ instances: [] })
  expect(livingApps(directory)).toEqual([])
})

it('a release that is staged already is not started twice', async () => {
  const first = await stage('a')
  const second = await stage('a')
  expect(second.url).toBe(first.url)
  expect(livingApps(directory)).toHaveLength(1)
})

it('gives the application its environment and nothing else of ours', async () => {
  await stage('a')
  await activate('a')
  expect(await get('/env?name=GREETING')).toBe('hello')
  expect(await get('/env?name=PORT')).toMatch(/^\d+$/)
  expect(await get('/env?name=HOME')).toBe('')
})

it.runIf(process.getuid?.() === 0)('runs the application as nobody, or as the user it asks for, and never as root', async () => {
  await stage('a')
  await activate('a')
  expect(await get('/who')).toBe('65534')
  await stage('b', { user: { uid: 4321, gid: 4321 } })
  await activate('b')
  expect(await get('/who')).toBe('4321')
  await expect(stage('c', { user: { uid: 0, gid: 0 } })).rejects.toMatchObject({ code: 'refused' })
})

it('starts an active application again when it dies, and the requests meanwhile wait', async () => {
  await stage('a')
  await activate('a')
  await fetch(`${await edge()}/crash`)
  const answers = await Promise.all(Array.from({ length: 20 }, () => get('/version')))
  expect(new Set(answers)).toEqual(new Set(['a']))
  const [instance] = (await view()).instances
  expect(instance).toMatchObject({ running: true, restarts: 1, exit: 'exited with code 7' })
  expect(instance?.tail).toContain('crashing as asked')
})

it('does not start a staged one again: it says how it ended and what it printed', async () => {
  const { url } = await stage('a')
  await fetch(`${url}/crash`).catch(() => undefined)
  const dead = await until('it is dead', async () => (await view()).instances.find(({ exit }) => exit !== undefined), 5_000)
  expect(dead).toMatchObject({ running: false, exit: 'exited with code 7' })
  expect(dead.tail).toContain('listening as a\ncrashing as asked')
  await expect(activate('a')).rejects.toMatchObject({ code: 'refused' })
})

it('retire waits for a slow request, which ends where it began', async () => {
  await stage('a')
  await activate('a')
  await stage('b')
  const slow = get('/slow?ms=1500')
  await until('it is under way', async () => (await view()).instances.some(({ inFlight }) => inFlight === 1), 5_000)
  await activate('b')
  await call('POST', '/retire', operation('retire'))
  expect(livingApps(directory)).toHaveLength(1)
  expect(await slow).toBe('a')
})

it('a newer owner ends the drain of an older one, and gets back what was not stopped yet', async () => {
  await stage('a')
  await activate('a')
  await stage('b')
  const slow = get('/slow?ms=1500')
  await until('it is under way', async () => (await view()).instances.some(({ inFlight }) => inFlight === 1), 5_000)
  await activate('b')
  const retiring = call('POST', '/retire', operation('retire'))
  const refused = retiring.catch((error: unknown) => error)
  await until('the number was seen', async () => (await view()).fence === fence, 5_000)
  await activate('a')
  expect(await refused).toMatchObject({ code: 'stale' })
  expect(await get('/version')).toBe('a')
  expect(await slow).toBe('a')
})

it('stops everything, and the next start serves the same release at the same address', async () => {
  await stage('a')
  await activate('a')
  const address = await edge()
  await keeper.stop()
  expect(livingApps(directory)).toEqual([])
  keeper = await start()
  expect(await (await fetch(`${address}/version`)).text()).toBe('a')
  expect(await get('/env?name=GREETING')).toBe('hello')
  expect((await view()).instances).toMatchObject([{ running: true, restarts: 0 }])
})

it('a second keeper on the same directory is refused with who holds it', async () => {
  await expect(start()).rejects.toMatchObject({ code: 'conflict' })
  expect(statSync(directory).mode & 0o777).toBe(0o700)
})

it('starts nothing outside the directory of applications', async () => {
  laySampleApp(`${base}/elsewhere`, 'a')
  const place = `${base}/elsewhere/production/a`
  await expect(stage('a', { directory: place, workingDirectory: place })).rejects.toMatchObject({ code: 'invalid_input' })
})

it('what it does not understand it refuses without repeating it', async () => {
  const refusal = call('POST', '/stage', { ...operation('x'), digest: 'no', env: { KEY: ['hunter2'] } })
  const error = await refusal.catch((refused: unknown) => refused)
  expect(error).toMatchObject({ code: 'invalid_input' })
  expect(messageOf(error)).toContain('env.KEY')
  expect(messageOf(error)).not.toContain('hunter2')
})

it.each(edgeNames)('a switch that cannot be written down is taken back: %s', async (driver) => {
  const obstacle = findEdge(driver)?.findObstacle()
  skipUnless(obstacle === undefined, obstacle ?? '')
  await call('PUT', '/edge', { driver, host: '127.0.0.1', port: 0 })
  await stage('a')
  await activate('a')
  await stage('b')
  // A directory where the next version of the file would be made; the number itself is written already.
  const inTheWay = `${directory}/state.json.${String(process.pid)}.tmp`
  mkdirSync(inTheWay)
  const again = { fence, operationId: 'activate b', digest: sampleDigest('b') }
  await expect(call('POST', '/activate', again)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  expect(await get('/version')).toBe('a')
  rmdirSync(inTheWay)
  expect(await call('POST', '/activate', again)).toEqual({ previousDigest: sampleDigest('a') })
  expect(await get('/version')).toBe('b')
})

it('an environment goes over to another target and back: what serves goes on until the switch, and what was here is put away', async () => {
  await stage('a')
  await activate('a')
  // What another target does while it prepares.
  await call('POST', '/announce', operation('announce'))
  expect(await get('/version')).toBe('a')
  const upstream = { id: 'd1', digest: sampleDigest('d'), host: '127.0.0.1', port: await foreignApp() }
  const routing = { ...operation('route'), upstreams: [upstream] }
  expect(await call('POST', '/route', routing)).toEqual({ previousDigest: sampleDigest('a') })
  expect(await call('POST', '/route', routing)).toEqual({ previousDigest: sampleDigest('a') })
  expect(await get('/version')).toBe('elsewhere')
  expect(await view()).toMatchObject({ active: sampleDigest('d'), upstreams: routing.upstreams, instances: [] })
  await stage('b')
  expect(await get('/version')).toBe('elsewhere')
  expect(await activate('b')).toEqual({ previousDigest: sampleDigest('d') })
  expect(await get('/version')).toBe('b')
  expect(await view()).toMatchObject({ active: sampleDigest('b'), upstreams: [] })
})

/** An application that is not the keeper's; gives its port. */
async function foreignApp(): Promise<number> {
  const server = createServer((_request, response) => response.end('elsewhere'))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

it.each(edgeNames)('moves to another host at the same port, with its route: %s', async (driver) => {
  const obstacle = findEdge(driver)?.findObstacle()
  skipUnless(obstacle === undefined, obstacle ?? '')
  const port = await findFreePort()
  await call('PUT', '/edge', { driver, host: '127.0.0.1', port })
  await stage('a')
  await activate('a')
  expect(await call('PUT', '/edge', { driver, host: '0.0.0.0', port })).toEqual({ driver, host: '0.0.0.0', port })
  expect(await get('/version')).toBe('a')
  expect(await call('PUT', '/edge', { driver, host: '127.0.0.1', port })).toMatchObject({ host: '127.0.0.1', port })
  expect(await get('/version')).toBe('a')
})

it('what is left of own instances while traffic goes elsewhere is retired, also of the release that serves there', async () => {
  await stage('a')
  const upstreams = [{ id: 'a1', digest: sampleDigest('a'), host: '127.0.0.1', port: await foreignApp() }]
  await call('POST', '/route', { ...operation('route'), upstreams })
  await stage('a')
  await call('POST', '/retire', operation('retire'))
  expect(await view()).toMatchObject({ upstreams, instances: [] })
  expect(await get('/version')).toBe('elsewhere')
  await stage('b')
  await call('POST', '/clear', operation('clear'))
  expect((await fetch(await edge())).status).toBe(503)
  expect(await view()).toMatchObject({ upstreams: [], instances: [] })
})

it('moves to another driver and back, in place or to another address, with its route and its counts', async () => {
  const obstacle = haproxyEdge.findObstacle()
  skipUnless(obstacle === undefined, obstacle ?? '')
  await stage('a')
  await activate('a')
  expect(await get('/version')).toBe('a')
  const first = await edge()
  await call('PUT', '/edge', { driver: 'haproxy', host: '127.0.0.1', port: 0 })
  expect(await edge()).toBe(first)
  expect(livingEdges(directory)).toHaveLength(1)
  const slow = get('/slow?ms=1500')
  await until('it is under way', async () => (await view()).instances.some(({ inFlight }) => inFlight === 1), 5_000)
  const other = await findFreePort()
  await call('PUT', '/edge', { driver: 'embedded', host: '127.0.0.1', port: other })
  expect(await edge()).toBe(`http://127.0.0.1:${String(other)}`)
  expect(await get('/version')).toBe('a')
  await until('the old address is closed', () => fetch(first).then(() => false, () => true), 5_000) // prettier-ignore
  expect(await slow).toBe('a')
  await until('its process has gone', () => livingEdges(directory).length === 0, 5_000)
  expect((await view()).traffic[sampleDigest('a')]?.requests).toBeGreaterThanOrEqual(2)
})

it('closes what a keeper left that was killed while it changed drivers', async () => {
  const obstacle = haproxyEdge.findObstacle()
  skipUnless(obstacle === undefined, obstacle ?? '')
  await stage('a')
  await activate('a')
  await keeper.stop()
  const place = `${directory}/edges/production/haproxy`
  const left = await haproxyEdge.create({ name: 'production', directory: place, totals: {}, log: () => undefined })
  await left.listen({ host: '127.0.0.1', port: 0 })
  expect(livingEdges(directory)).toHaveLength(1)
  keeper = await start()
  expect(livingEdges(directory)).toEqual([])
  expect(await get('/version')).toBe('a')
})

it('reads what it wrote before there were drivers', async () => {
  await stage('a')
  await activate('a')
  await keeper.stop()
  const file = `${directory}/state.json`
  const state = JSON.parse(readFileSync(file, 'utf8')) as { environments: Record<string, Record<string, unknown>> }
  const { upstreams: _none, edge: recorded, ...record } = state.environments['production'] ?? {}
  const { driver: _driver, ...address } = recorded as Record<string, unknown>
  writeFileSync(file, JSON.stringify({ ...state, environments: { production: { ...record, edge: address } } }))
  keeper = await start()
  expect(await get('/version')).toBe('a')
  expect(await view()).toMatchObject({ upstreams: [], edge: { driver: 'embedded', listening: true } })
})
