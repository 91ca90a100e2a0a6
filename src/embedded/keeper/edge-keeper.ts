/**
 * The edge of one environment: opened, moved, kept where it was, and sent the route that is recorded, or about to be. A switch
 * comes before its record, so nobody is told of a switch that did not happen; if the write fails, what is recorded holds again.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import type { Edge, EdgeAddress, Totals, Upstream } from '../../drivers/edges/edge.ts'
import { edges, findEdge } from '../../drivers/edges/index.ts'
import { BelayError, messageOf } from '../../domain/errors.ts'
import type { EdgeRequest } from './keeper-api.ts'
import type { StateStore } from './keeper-state.ts'
import { routeOf, sameRoute, type Selection } from './routing.ts'

export interface EdgeKeeper {
  /** Has it listen there, by that driver; what it was before closes once what is under way has ended. */
  open(request: EdgeRequest): Promise<EdgeRequest>
  /** Sends traffic where this selection says, until `settle`. Throws what the edge does; traffic then goes where it went. */
  switchTo(selection: Selection): Promise<void>
  /** What is recorded holds from here on. Never rejects: what cannot be done now is tried again. */
  settle(): Promise<void>
  /** An instance is at another port. Never rejects, as above. */
  refresh(): Promise<void>
  isListening(): boolean
  inFlight(instanceId: string): number
  drained(instanceId: string, limitMs: number, signal?: AbortSignal): Promise<void>
  totals(): Record<string, Totals>
  reset(digest: string): void
  /** After a start of the keeper: serves what is recorded, where it is recorded. */
  recover(): Promise<void>
  close(limitMs: number): Promise<void>
  /** For good: forgotten first, then closed once what is under way has ended. It may be opened again. */
  remove(limitMs: number): Promise<void>
}

export interface EdgeKeeperOptions {
  name: string
  store: StateStore
  /** Of this environment's edges; each driver has a directory in it. */
  directory: string
  totals: Readonly<Record<string, Totals>>
  log(line: string): void
}

interface Open {
  driver: EdgeRequest['driver']
  edge: Edge
}

const againMs = 500
/** Where a driver gives an address to another, its last listener may take a moment to close. */
const handOverMs = 5_000
const formerDrainMs = 30_000

export function createEdgeKeeper({ name, store, directory, totals, log }: EdgeKeeperOptions): EdgeKeeper {
  let open: Open | undefined
  /** Closing after a change of driver: requests may still be under way there. */
  const former = new Set<Edge>()
  let pending: Selection | undefined
  /** What the edge was sent last; undefined: unknown. */
  let sent: readonly Upstream[] | undefined
  let again: NodeJS.Timeout | undefined
  let closed = false
  let tail: Promise<unknown> = Promise.resolve()

  const placeOf = (driver: string): string => `${directory}/${driver}`

  /** Calls of one edge come one at a time. */
  function exclusive<T>(act: () => Promise<T>): Promise<T> {
    const done = tail.then(act)
    tail = done.catch(() => undefined)
    return done
  }

  function wanted(): readonly Upstream[] {
    const record = store.read(name)
    return routeOf(pending ?? record, record.instances)
  }

  async function push(edge: Edge): Promise<void> {
    const route = wanted()
    if (sent !== undefined && sameRoute(sent, route)) return
    sent = undefined
    await edge.route(route)
    sent = route
  }

  async function create(driverName: EdgeRequest['driver'], counts: Readonly<Record<string, Totals>>): Promise<Open> {
    const driver = findEdge(driverName)
    const obstacle = driver === undefined ? `no edge ${driverName} is known` : driver.findObstacle()
    if (driver === undefined || obstacle !== undefined) {
      throw new BelayError({
        code: 'missing_part',
        message: `${name} cannot have the edge ${driverName}: ${obstacle ?? ''}`,
        hint: 'Install it on the machine of the keeper, or take `driver: embedded`.',
      })
    }
    mkdirSync(placeOf(driverName), { recursive: true, mode: 0o700 })
    const edge = await driver.create({ name, directory: placeOf(driverName), totals: counts, log })
    return { driver: driverName, edge }
  }

  async function ensureOpen(driver: EdgeRequest['driver']): Promise<Open> {
    open ??= await create(driver, totals)
    return open
  }

  function recordAt(driver: EdgeRequest['driver'], address: EdgeAddress): EdgeRequest {
    const request = { driver, ...address }
    const known = store.read(name).edge
    if (known?.driver === driver && known.host === address.host && known.port === address.port) return request
    store.update(name, (draft) => {
      draft.edge = request
    })
    return request
  }

  /** To another host at the same port it cannot stand at both at once. */
  async function moveTo(edge: Edge, address: EdgeAddress): Promise<EdgeAddress> {
    const before = edge.address()
    if (before === undefined || before.port !== address.port || before.host === address.host) return edge.listen(address)
    edge.close(formerDrainMs).catch(complain)
    try {
      return await listenSoon(edge, address)
    } catch (error) {
      await listenSoon(edge, before)
      throw error
    }
  }

  async function changeDriver(from: Open, { driver, host, port }: EdgeRequest): Promise<EdgeRequest> {
    const before = from.edge.address()
    const address = port === 0 && before?.host === host ? before : { host, port }
    const inPlace = before?.port === address.port
    const made = await create(driver, from.edge.totals())
    try {
      await made.edge.route(wanted())
      // The new one is opened first, unless the old one stands where it is to be.
      const closing = inPlace ? from.edge.close(formerDrainMs) : undefined
      closing?.catch(complain)
      const recorded = recordAt(driver, await (inPlace ? listenSoon(made.edge, address) : made.edge.listen(address)))
      open = made
      former.add(from.edge)
      void closeFormer(from, closing)
      return recorded
    } catch (error) {
      await discard(made)
      if (inPlace) await listenSoon(from.edge, address)
      throw error
    }
  }

  async function closeFormer({ driver, edge }: Open, closing?: Promise<void>): Promise<void> {
    try {
      await (closing ?? edge.close(formerDrainMs))
      if (open?.driver !== driver) rmSync(placeOf(driver), { recursive: true, force: true })
    } catch (error) {
      complain(error)
    } finally {
      former.delete(edge)
    }
  }

  async function discard({ driver, edge }: Open): Promise<void> {
    await edge.close(0)
    rmSync(placeOf(driver), { recursive: true, force: true })
  }

  /** Closes what a keeper left that was killed while it changed drivers. */
  async function discardOthers(recorded: string | undefined): Promise<void> {
    for (const driver of edges) {
      if (driver.name === recorded || !existsSync(placeOf(driver.name))) continue
      const edge = await driver.create({ name, directory: placeOf(driver.name), totals: {}, log })
      await discard({ driver: driver.name, edge })
    }
  }

  /** As recorded: again and again until it works. */
  async function serveRecorded(): Promise<void> {
    clearTimeout(again)
    const recorded = store.read(name).edge
    if (closed || recorded === undefined) return
    try {
      const { driver, host, port } = recorded
      const { edge } = await ensureOpen(driver)
      await push(edge)
      await edge.listen({ host, port })
    } catch (error) {
      complain(error)
      if (!closed) again = setTimeout(() => void exclusive(serveRecorded), againMs)
    }
  }

  async function refresh(): Promise<void> {
    if (open !== undefined && (sent === undefined || !sameRoute(sent, wanted()))) await serveRecorded()
  }

  const complain = (error: unknown): void => {
    log(`${name}: ${messageOf(error)}; trying again`)
  }

  return {
    open(request) {
      return exclusive(async () => {
        clearTimeout(again)
        const current = await ensureOpen(request.driver)
        if (current.driver !== request.driver) return changeDriver(current, request)
        await push(current.edge)
        const known = current.edge.address() ?? store.read(name).edge
        const { host, port } = request.port === 0 && known?.host === request.host ? known : request
        return recordAt(request.driver, await moveTo(current.edge, { host, port }))
      }).catch((error: unknown) => {
        // Not there: then where it was.
        if (open?.edge.address() === undefined) void exclusive(serveRecorded)
        throw error
      })
    },
    switchTo(selection) {
      return exclusive(async () => {
        pending = selection
        if (open !== undefined) await push(open.edge)
      })
    },
    settle() {
      return exclusive(async () => {
        pending = undefined
        await refresh()
      })
    },
    refresh: () => exclusive(refresh),
    isListening: () => open?.edge.address() !== undefined,
    inFlight: (id) => [...(open === undefined ? [] : [open.edge]), ...former].reduce((sum, edge) => sum + edge.inFlight(id), 0),
    async drained(id, limitMs, signal) {
      const all = [...(open === undefined ? [] : [open.edge]), ...former]
      await Promise.all(all.map((edge) => edge.drained(id, limitMs, signal)))
    },
    totals: () => open?.edge.totals() ?? { ...totals },
    reset(digest) {
      open?.edge.reset(digest)
    },
    recover() {
      return exclusive(async () => {
        await discardOthers(store.read(name).edge?.driver).catch(complain)
        await serveRecorded()
      })
    },
    remove(limitMs) {
      return exclusive(async () => {
        clearTimeout(again)
        store.update(name, (draft) => {
          delete draft.edge
        })
        const from = open
        open = undefined
        sent = undefined
        await from?.edge.close(limitMs)
        // Whatever a keeper left that was killed in the middle of this: no driver is recorded any more.
        await discardOthers(undefined)
        rmSync(directory, { recursive: true, force: true })
      })
    },
    async close(limitMs) {
      closed = true
      clearTimeout(again)
      await exclusive(() => Promise.all([open?.edge.close(limitMs), ...[...former].map((edge) => edge.close(limitMs))]))
    },
  }
}

/** The one that stood there was told to close. */
async function listenSoon(edge: Edge, address: EdgeAddress): Promise<EdgeAddress> {
  const deadline = performance.now() + handOverMs
  for (;;) {
    try {
      return await edge.listen(address)
    } catch (error) {
      if (!(error instanceof BelayError) || error.code !== 'conflict' || performance.now() >= deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
