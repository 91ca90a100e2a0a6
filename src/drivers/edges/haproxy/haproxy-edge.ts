// Long because starting, switching, watching and ending one process share what is known of it.
/**
 * An edge that is an HAProxy of its own: it goes on without the keeper, and is taken over by the next one. A switch is one line
 * on its runtime socket. What it was told is gone when it restarts, so it is started with where traffic goes at that moment.
 */
import { mkdirSync } from 'node:fs'
import { BelayError, messageOf } from '../../../domain/errors.ts'
import { isAlive } from '../../../process/identity.ts'
import { stopGroup } from '../../../process/spawn.ts'
import type { Edge, EdgeAddress, EdgeDriver, EdgeOptions } from '../edge.ts'
import { createCounts } from './counts.ts'
import { openCountsFile, openEdgeRecord, type Leaving, type SlotOwner } from './edge-record.ts'
import { findObstacle } from './find-haproxy.ts'
import {
  answers,
  askLimitMs,
  endsSoon,
  endUnrecorded,
  findPort,
  seeGone,
  startHaproxy,
  tellToFinish,
  type Haproxy,
} from './haproxy-process.ts'
import { parseSlots, type SlotState } from './parse-slots.ts'
import { countInFlight, planSwitch, servesRoute } from './plan-switch.ts'
import { resolveUpstreams, type Resolved } from './resolve-upstreams.ts'
import { showSlots } from './runtime-commands.ts'
import { ask, removeSocket, runtimeSocket } from './runtime-socket.ts'
import { slotNames } from './slots.ts'

export const haproxyEdge = {
  name: 'haproxy',
  findObstacle,
  create: createHaproxyEdge,
} as const satisfies EdgeDriver

/** Between looks at the process and its counters: `inFlight` and `totals` are as old as that. */
const lookMs = 250
const saveMs = 2_000
const drainLookMs = 25
/** A killed process lets its address go within a moment. */
const letGoMs = 2_000
/** After a move: as long as usual clients keep a connection. */
const leaveMs = 75_000
const firstBackoffMs = 50
const longestBackoffMs = 5_000
/** A process that lived this long starts the backoff again. */
const steadyMs = 10_000

async function createHaproxyEdge({ directory, totals, log, name }: EdgeOptions): Promise<Edge> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const record = openEdgeRecord(directory)
  const countsFile = openCountsFile(directory)
  const counts = createCounts(totals, countsFile.read())
  let running: Haproxy | undefined
  /** What the next start is to serve. */
  let wanted: readonly Resolved[] = []
  let states: readonly SlotState[] = []
  let timer: NodeJS.Timeout | undefined
  let revival: NodeJS.Timeout | undefined
  let backoffMs = firstBackoffMs
  let startedAt = 0
  let savedAt = 0
  let looking = false
  let tail: Promise<unknown> = Promise.resolve()

  const ownerOf = (slot: string): SlotOwner | undefined => record.read().slots[slot]
  const findAlive = (): Haproxy | undefined => (running !== undefined && isAlive(running.identity) ? running : undefined)

  /** Starts, switches and ends never overlap. */
  function exclusive<T>(act: () => Promise<T>): Promise<T> {
    const done = tail.then(act)
    tail = done.catch(() => undefined)
    return done
  }

  function note(answer: string): void {
    states = parseSlots(answer)
    counts.add(states, (slot) => ownerOf(slot)?.upstream.digest)
  }

  async function look({ socket }: Haproxy): Promise<void> {
    const answer = await ask(socket, showSlots, askLimitMs)
    // Of one that was replaced meanwhile: its counters are not those that are counted on from.
    if (running?.socket === socket) note(answer)
  }

  function saveCounts(): void {
    try {
      countsFile.save(counts.save())
      savedAt = performance.now()
    } catch (error) {
      log(`${name}: counts not saved: ${messageOf(error)}`)
    }
  }

  /** Starts one with what is wanted; it is ours from the write on, and until then found by its tag. */
  async function begin(listen: EdgeAddress): Promise<void> {
    const { generation, address: before } = record.read()
    const wasOurs = before?.host === listen.host && before.port === listen.port
    record.update((draft) => {
      draft.generation = generation + 1
    })
    const socket = runtimeSocket(directory, `${String(generation + 1)}.sock`)
    const route = wanted.map(({ upstream, address }, index) => ({ slot: slotNames[index] ?? '', upstream, address }))
    const slots = route.map(({ slot, address, upstream: { port } }) => ({ slot, address, port }))
    const started = await startHaproxy({ directory, socket, listen, route: slots, patienceMs: wasOurs ? letGoMs : 0 })
    const { identity } = started
    try {
      record.update((draft) => {
        draft.address = listen
        draft.running = { identity, socket }
        draft.slots = Object.fromEntries(
          route.map(({ slot, upstream, address }) => [slot, { upstream, address, usedAt: draft.switches, former: [] }]),
        )
      })
    } catch (error) {
      await stopGroup(identity, 0)
      throw error
    }
    running = { identity, socket }
    states = []
    counts.beginAgain()
    saveCounts()
    startedAt = performance.now()
    watch()
    void started.ended.then(() => {
      if (running?.identity.pid === identity.pid) revive()
    })
    await look(started).catch(() => undefined)
  }

  function watch(): void {
    timer ??= setInterval(() => void tick(), lookMs).unref()
  }

  async function tick(): Promise<void> {
    const alive = findAlive()
    if (alive === undefined) return revive()
    if (looking) return
    looking = true
    // What cannot be asked now is asked again: whether it lives is what counts.
    await look(alive).catch(() => undefined)
    looking = false
    if (performance.now() - savedAt >= saveMs) saveCounts()
  }

  /** It died by itself: another one serves the same at the same address. */
  function revive(): void {
    if (revival !== undefined || timer === undefined) return
    if (performance.now() - startedAt >= steadyMs) backoffMs = firstBackoffMs
    revival = setTimeout(() => {
      void exclusive(async () => {
        const { address } = record.read()
        if (timer === undefined || address === undefined || findAlive() !== undefined) return
        log(`${name}: HAProxy has ended; starting it again`)
        if (running !== undefined) removeSocket(running.socket)
        await begin(address)
      })
        .catch((error: unknown) => {
          log(`${name}: ${messageOf(error)}`)
        })
        .finally(() => {
          revival = undefined
        })
    }, backoffMs)
    backoffMs = Math.min(backoffMs * 2, longestBackoffMs)
  }

  /** No new connection; what is under way there is waited for by whoever drains one of its instances. */
  function leave(former: Haproxy, limitMs: number): Promise<void> {
    const ids = Object.values(record.read().slots).flatMap((owner) =>
      owner === undefined ? [] : [owner.upstream.id, ...owner.former],
    )
    record.update((draft) => {
      draft.leaving.push({ ...former, ids })
    })
    tellToFinish(former)
    return forgetWhenGone(former, limitMs)
  }

  async function forgetWhenGone(former: Haproxy, limitMs: number): Promise<void> {
    await seeGone(former, limitMs)
    record.update((draft) => {
      draft.leaving = draft.leaving.filter(({ identity }) => identity.pid !== former.identity.pid)
    })
  }

  function mayStillLeave(id: string): boolean {
    return record.read().leaving.some((one: Leaving) => one.ids.includes(id) && isAlive(one.identity))
  }

  const inFlight = (id: string): number => countInFlight(states, record.read().slots, id)
  const serves = (route: readonly Resolved[]): boolean => servesRoute(states, record.read().slots, route)

  async function switchTo(route: readonly Resolved[], { socket }: Haproxy): Promise<void> {
    const { command, assigned } = planSwitch(states, record.read().slots, route)
    record.update((draft) => {
      draft.switches += 1
      for (const { slot, ...owner } of assigned) draft.slots[slot] = { ...owner, usedAt: draft.switches }
    })
    note(await ask(socket, `${command};${showSlots}`, askLimitMs))
    if (!serves(route)) {
      throw new BelayError({ code: 'unavailable', message: 'HAProxy did not send traffic where it was told to', retryable: true })
    }
  }

  /** False if it died over it. */
  async function switchLiving(route: readonly Resolved[], haproxy: Haproxy): Promise<boolean> {
    try {
      await look(haproxy)
      if (!serves(route)) await switchTo(route, haproxy)
      return true
    } catch (error) {
      if (await endsSoon(haproxy)) return false
      throw error
    }
  }

  /** Takes over what an earlier life left: a process that answers goes on as it is. */
  async function adopt(): Promise<void> {
    const { running: recorded, leaving } = record.read()
    await endUnrecorded(directory, [...leaving, ...(recorded === undefined ? [] : [recorded])])
    for (const one of leaving) forgetWhenGone(one, leaveMs).catch(complain)
    if (recorded === undefined) return
    if (!(await answers(recorded))) return seeGone(recorded, 0)
    running = recorded
    startedAt = performance.now()
    await look(recorded)
    wanted = states.filter(({ active }) => active).flatMap(({ slot }) => ownerOf(slot) ?? [])
    watch()
  }

  const complain = (error: unknown): void => {
    log(`${name}: ${messageOf(error)}`)
  }

  await adopt()

  return {
    address: () => (running === undefined ? undefined : record.read().address),
    listen({ host, port }) {
      return exclusive(async () => {
        const known = record.read().address
        const kept = known?.host === host && (port === 0 || port === known.port) ? known : undefined
        const former = findAlive()
        if (kept !== undefined && former !== undefined) return kept
        const address = kept ?? { host, port: port === 0 ? await findPort(host) : port }
        if (former !== undefined) await look(former)
        await begin(address)
        if (former !== undefined) void leave(former, leaveMs).catch(complain)
        return address
      })
    },
    async route(upstreams) {
      const resolved = await resolveUpstreams(upstreams)
      await exclusive(async () => {
        const before = wanted
        const alive = findAlive()
        if (alive !== undefined && (await switchLiving(resolved, alive))) {
          wanted = resolved
          return
        }
        wanted = resolved
        const { address } = record.read()
        // Before `listen` or after `close`: the next start begins with it.
        if (running === undefined || address === undefined) return
        try {
          await begin(address)
        } catch (error) {
          wanted = before
          throw error
        }
      })
    },
    inFlight,
    async drained(id, limitMs, signal) {
      const deadline = performance.now() + limitMs
      for (;;) {
        signal?.throwIfAborted()
        const alive = findAlive()
        const known = alive === undefined || (await look(alive).then(() => true, () => false)) // prettier-ignore
        if (known && (alive === undefined || inFlight(id) === 0) && !mayStillLeave(id)) return
        if (performance.now() >= deadline) return
        await new Promise((resolve) => setTimeout(resolve, drainLookMs))
      }
    },
    totals: () => counts.totals(),
    reset(digest) {
      counts.reset(digest)
    },
    async close(limitMs) {
      // The wait for their end is not part of what others wait for: it may be told to listen again meanwhile.
      const ends = await exclusive(async () => {
        clearInterval(timer)
        clearTimeout(revival)
        timer = undefined
        revival = undefined
        const former = findAlive()
        if (former !== undefined) await look(former).catch(() => undefined)
        saveCounts()
        running = undefined
        states = []
        const others = record.read().leaving.map((one) => forgetWhenGone(one, limitMs))
        const gone = former === undefined ? [] : [leave(former, limitMs)]
        record.update((draft) => {
          delete draft.running
        })
        return [...others, ...gone]
      })
      await Promise.all(ends)
    },
  }
}
