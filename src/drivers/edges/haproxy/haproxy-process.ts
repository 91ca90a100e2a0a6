/** One HAProxy process: started so that it outlives the keeper, told to finish, ended. */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { BelayError, messageOf } from '../../../domain/errors.ts'
import { findIdentity, findTagged, isAlive, signalGroup, type ProcessIdentity } from '../../../process/identity.ts'
import { ensureSocketDirectory } from '../../../process/socket-directory.ts'
import { spawnProcess, stopGroup } from '../../../process/spawn.ts'
import type { EdgeAddress } from '../edge.ts'
import { findHaproxy, findObstacle, findUser } from './find-haproxy.ts'
import { parseSlots } from './parse-slots.ts'
import { renderConfig } from './render-config.ts'
import { showSlots, type SlotAddress } from './runtime-commands.ts'
import { ask, removeSocket } from './runtime-socket.ts'

export interface Haproxy {
  identity: ProcessIdentity
  socket: string
}

export interface Started extends Haproxy {
  ended: Promise<unknown>
}

/** Carries the edge's directory in the environment of its processes: who is found by it and not recorded was never used. */
const tag = 'BELAY_EDGE'
const readyLimitMs = 10_000
const endsSoonMs = 300
export const askLimitMs = 5_000

export interface StartOptions {
  directory: string
  socket: string
  listen: EdgeAddress
  route: readonly SlotAddress[]
  /** How long to wait for the address: one of ours that was killed may take a moment to let it go. */
  patienceMs: number
}

/** Resolves once it listens and can be asked. Throws `conflict` if the address is taken, `missing_part` if there is no HAProxy. */
export async function startHaproxy({ directory, socket, listen, route, patienceMs }: StartOptions): Promise<Started> {
  const file = findHaproxy()
  if (file === undefined) throw new BelayError({ code: 'missing_part', message: findObstacle() ?? 'HAProxy is not installed' })
  await waitUntilFree(listen, patienceMs)
  ensureSocketDirectory(socket)
  rmSync(socket, { force: true })
  const config = `${directory}/haproxy.cfg`
  const user = findUser()
  writeFileSync(config, renderConfig({ listen, socket, route, ...(user === undefined ? {} : { user }) }), { mode: 0o600 })
  const log = `${directory}/haproxy.log`
  const output = openSync(log, 'w', 0o600)
  const { identity, done } = await spawnProcess({
    ...{ file, args: ['-db', '-f', config], cwd: '/', output, outlive: true },
    env: { [tag]: directory },
  }).finally(() => {
    closeSync(output)
  })
  const started = { identity, socket, ended: done }
  if (await waitUntilReady(started)) return started
  await stopGroup(identity, 0)
  throw new BelayError({
    code: 'unavailable',
    message: `HAProxy did not come up on ${listen.host}:${String(listen.port)}`,
    hint: `Its log ${log} ends:\n${readFileSync(log, 'utf8').slice(-1000)}`,
    retryable: true,
  })
}

async function waitUntilReady(haproxy: Haproxy): Promise<boolean> {
  const deadline = performance.now() + readyLimitMs
  while (isAlive(haproxy.identity) && performance.now() < deadline) {
    if (await answers(haproxy)) return true
    await pause(10)
  }
  return false
}

/** It is there and has our slots. */
export async function answers({ identity, socket }: Haproxy): Promise<boolean> {
  if (!isAlive(identity)) return false
  try {
    parseSlots(await ask(socket, showSlots, askLimitMs))
    return true
  } catch {
    // Not yet, not any more, or somebody else: in each case it is none that we could use.
    return false
  }
}

/** It closes its listeners now, and ends with the last request under way. */
export function tellToFinish({ identity }: Haproxy): void {
  if (isAlive(identity)) signalGroup(identity, 'SIGUSR1')
}

/** Who breaks off may be about to end: a killed process is there for a moment. */
export async function endsSoon({ identity }: Haproxy): Promise<boolean> {
  const deadline = performance.now() + endsSoonMs
  while (isAlive(identity) && performance.now() < deadline) await pause(10)
  return !isAlive(identity)
}

/** Waits for its end, and makes it end at the limit. */
export async function seeGone({ identity, socket }: Haproxy, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs
  while (isAlive(identity) && performance.now() < deadline) await pause(20)
  await stopGroup(identity, 0)
  removeSocket(socket)
}

/** Ends what an earlier life started in this directory and was killed before it wrote that down. */
export async function endUnrecorded(directory: string, recorded: readonly Haproxy[]): Promise<void> {
  const known = recorded.map(({ identity }) => identity.pid)
  const strays = findTagged(tag, directory).filter((pid) => !known.includes(pid))
  await Promise.all(strays.flatMap((pid) => findIdentity(pid) ?? []).map((identity) => stopGroup(identity, 0)))
}

async function waitUntilFree(address: EdgeAddress, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      return await checkFree(address)
    } catch (error) {
      if (performance.now() >= deadline) throw error
    }
    await pause(10)
  }
}

/** HAProxy says only in words that an address is taken. */
function checkFree({ host, port }: EdgeAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error) => {
      reject(
        new BelayError({
          code: 'conflict',
          message: `the edge cannot listen on ${host}:${String(port)}: ${messageOf(error)}`,
          hint: 'Stop what uses that address, or give the environment another one.',
          retryable: true,
          cause: error,
        }),
      )
    })
    probe.listen({ host, port, exclusive: true }, () => {
      probe.close(() => {
        resolve()
      })
    })
  })
}

/** A port of that address that nobody listened on a moment ago. */
export function findPort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen({ host, port: 0, exclusive: true }, () => {
      const address = probe.address()
      probe.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'))
        else resolve(address.port)
      })
    })
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
