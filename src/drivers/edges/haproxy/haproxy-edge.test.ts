/** What an edge that is a process of its own owes beyond the contract of all edges (test/contracts/edges.test.ts). */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { until } from '../../../../test/helpers/until.ts'
import { findIdentity, findTagged, isAlive } from '../../../process/identity.ts'
import { spawnProcess, stopGroup } from '../../../process/spawn.ts'
import type { Edge, Upstream } from '../edge.ts'
import { findHaproxy, findUser } from './find-haproxy.ts'
import { haproxyEdge } from './haproxy-edge.ts'

let base: string
let directory: string
let edge: Edge
let port: number
const servers: Server[] = []
const log: string[] = []

const create = () => haproxyEdge.create({ name: 'production', directory, totals: {}, log: (line) => void log.push(line) })
const processes = () => findTagged('BELAY_EDGE', directory)
const text = async () => (await fetch(`http://127.0.0.1:${String(port)}/`)).text()
const serves = () => until('it serves', () => text().catch(() => undefined), 10_000)

beforeEach(async () => {
  const obstacle = haproxyEdge.findObstacle()
  skipUnless(obstacle === undefined, obstacle ?? '')
  base = mkdtempSync(join(tmpdir(), 'belay-edge-'))
  directory = `${base}/haproxy`
  log.splice(0)
  edge = await create()
  port = (await edge.listen({ host: '127.0.0.1', port: 0 })).port
})
afterEach(async () => {
  await edge.close(0)
  await Promise.all(
    processes()
      .flatMap((pid) => findIdentity(pid) ?? [])
      .map((identity) => stopGroup(identity, 0)),
  )
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  rmSync(base, { recursive: true, force: true })
})

function socketOf(): string {
  const { running } = JSON.parse(readFileSync(`${directory}/edge.json`, 'utf8')) as { running: { socket: string } }
  return running.socket
}

async function serve(id: string): Promise<Upstream> {
  const server = createServer((_incoming, response) => response.end(id))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { id, digest: id, host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

it('killed, it is back at the same address with the route of that moment, and its counts go on', async () => {
  await edge.route([await serve('a')])
  await edge.route([await serve('b1'), await serve('b2')])
  await until(
    'both were asked',
    async () => ['b1', 'b2'].includes(await text()) && (edge.totals()['b2']?.requests ?? 0) > 0,
    5_000,
  )
  const counted = edge.totals()['b1']?.requests ?? 0
  for (const pid of processes()) process.kill(pid, 'SIGKILL')
  expect(['b1', 'b2']).toContain(await serves())
  const seen = new Set([await text(), await text(), await text()])
  expect(seen).toEqual(new Set(['b1', 'b2']))
  await until('they are counted', () => (edge.totals()['b1']?.requests ?? 0) > counted, 5_000)
  expect(edge.address()).toEqual({ host: '127.0.0.1', port })
  expect(log).toContain('production: HAProxy has ended; starting it again')
})

it('a switch that finds it dead starts it, with the new route', async () => {
  await edge.route([await serve('a')])
  for (const pid of processes()) process.kill(pid, 'SIGKILL')
  await edge.route([await serve('b')])
  expect(await text()).toBe('b')
  expect(processes()).toHaveLength(1)
})

it('is adopted as it is: same process, same route, which is no switch when it is sent again', async () => {
  const a = await serve('a')
  await edge.route([a])
  const [pid] = processes()
  const before = readFileSync(`${directory}/edge.json`, 'utf8')
  edge = await create()
  expect(edge.address()).toEqual({ host: '127.0.0.1', port })
  expect(await text()).toBe('a')
  await edge.route([a])
  await edge.listen({ host: '127.0.0.1', port })
  expect(readFileSync(`${directory}/edge.json`, 'utf8')).toBe(before)
  await edge.route([await serve('b')])
  expect(await text()).toBe('b')
  expect(processes()).toEqual([pid])
})

/** Carries the tag of this edge and answers nobody. */
function startMute() {
  const env = { BELAY_EDGE: directory }
  return spawnProcess({ file: process.execPath, args: ['-e', 'setInterval(() => 0, 1000)'], cwd: '/', env })
}

it('ends what an earlier life started and never wrote down, and leaves the other one alone', async () => {
  const recorded = processes()
  const { identity } = await startMute()
  edge = await create()
  expect(isAlive(identity)).toBe(false)
  expect(processes()).toEqual(recorded)
})

it('ends what it cannot ask, and listens where that listened', async () => {
  await edge.close(0)
  const { identity } = await startMute()
  const file = `${directory}/edge.json`
  const record = JSON.parse(readFileSync(file, 'utf8')) as object
  writeFileSync(file, JSON.stringify({ ...record, running: { identity, socket: `${directory}/gone.sock` } }))
  edge = await create()
  expect(isAlive(identity)).toBe(false)
  expect(edge.address()).toBeUndefined()
  expect(await edge.listen({ host: '127.0.0.1', port })).toEqual({ host: '127.0.0.1', port })
  expect((await fetch(`http://127.0.0.1:${String(port)}/`)).status).toBe(503)
})

it('close leaves no process and no socket', async () => {
  await edge.close(5_000)
  expect(processes()).toEqual([])
  expect(readdirSync(directory).filter((name) => name.endsWith('.sock'))).toEqual([])
})

it('has its socket elsewhere when its own path is too long for one', async () => {
  await edge.close(0)
  directory = `${base}/${'long'.repeat(30)}`
  mkdirSync(directory)
  edge = await create()
  port = (await edge.listen({ host: '127.0.0.1', port: 0 })).port
  await edge.route([await serve('a')])
  expect(await text()).toBe('a')
  const socket = socketOf()
  expect(socket.length).toBeLessThan(91)
  await edge.close(5_000)
  expect(existsSync(dirname(socket))).toBe(false)
})

it('holds sixteen instances, and refuses a seventeenth', async () => {
  const one = await serve('a')
  const many = Array.from({ length: 17 }, (_, index) => ({ ...one, id: `a${String(index)}` }))
  await edge.route(many.slice(0, 16))
  await edge.route(many.slice(1))
  expect(await text()).toBe('a')
  await expect(edge.route(many)).rejects.toMatchObject({ code: 'refused' })
})

it('listens on IPv6, and sends traffic there', async () => {
  const server = createServer((_incoming, response) => response.end('six'))
  servers.push(server)
  const bound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(0, '::1', () => resolve(true))
  })
  skipUnless(bound, 'this machine has no IPv6')
  await edge.route([{ id: 'six', digest: 'six', host: '::1', port: (server.address() as AddressInfo).port }])
  expect(await text()).toBe('six')
  const { port: six } = await edge.listen({ host: '::1', port: 0 })
  expect(await (await fetch(`http://[::1]:${String(six)}/`)).text()).toBe('six')
})

it('gives up root where the package made a user for it', () => {
  skipUnless(findUser() !== undefined, 'not root, or there is no user haproxy')
  const [pid] = processes()
  expect(readFileSync(`/proc/${String(pid)}/status`, 'utf8')).not.toMatch(/^Uid:\s+0/m)
})

it('is found beside the PATH too, and said to be missing where it is', () => {
  expect(findHaproxy('')).toMatch(/^\/.*\/haproxy$/)
  expect(findHaproxy('relative:/nowhere')).toBe(findHaproxy(''))
})
