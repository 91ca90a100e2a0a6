/** One environment as the keeper holds it: its edge, its instances, and the operations that change them. */
import { randomUUID } from 'node:crypto'
import { resolve, sep } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import type { Totals } from '../../drivers/edges/edge.ts'
import type { AppFiles } from './app-files.ts'
import { createEdgeKeeper, type EdgeKeeper } from './edge-keeper.ts'
import { createFence } from './fencing.ts'
import { createInstances } from './instances.ts'
import { CommandResult, createReleaseCommands } from './release-commands.ts'
import type {
  ActivateRequest,
  CommandRequest,
  DrainedRequest,
  EdgeRequest,
  EnvironmentView,
  InstanceView,
  Operation,
  RouteRequest,
  StageRequest,
} from './keeper-api.ts'
import type { EnvironmentRecord, InstanceRecord, StateStore } from './keeper-state.ts'

export interface EnvironmentKeeper {
  setEdge(request: EdgeRequest): Promise<EdgeRequest>
  stage(request: StageRequest): Promise<unknown>
  /** Runs it to its end; a newer owner ends it. */
  command(request: CommandRequest): Promise<{ failure?: string | undefined; tail: string }>
  activate(request: ActivateRequest): Promise<unknown>
  retire(operation: Operation): Promise<unknown>
  clear(operation: Operation): Promise<unknown>
  /** Traffic to instances that are not the keeper's. */
  route(request: RouteRequest): Promise<unknown>
  /** A newer owner is at work: from here on lower numbers are refused. Traffic goes where it went. */
  announce(operation: Operation): Promise<unknown>
  drained(request: DrainedRequest): Promise<void>
  /** Nobody wants it any more: takes traffic off, stops what runs, closes the edge. Its number is kept. */
  remove(): Promise<unknown>
  view(): EnvironmentView
  totals(): Record<string, Totals>
  /** After a start of the keeper: adopts, starts again, listens where it listened. */
  recover(): Promise<void>
  /** Drains the edge and stops the applications; the record keeps what served. */
  stop(): Promise<void>
}

export interface EnvironmentKeeperOptions {
  name: string
  store: StateStore
  files: AppFiles
  /** Releases lie below it, and nothing else is started. */
  apps: string
  totals: Record<string, Totals>
  /** Directory of this environment's edges. */
  edges: string
  log(line: string): void
}

const drainMs = 30_000
const graceMs = 10_000
/** When all of Belay stops there is less time. */
const stopDrainMs = 5_000
const stopGraceMs = 4_000
const tailBytes = 8_192

export function createEnvironmentKeeper(options: EnvironmentKeeperOptions): EnvironmentKeeper {
  const { name, store, files, log } = options
  const edge = createEdgeKeeper({ name, store, directory: options.edges, totals: options.totals, log })
  const fence = createFence(name, store, () => edge.settle())
  const instances = createInstances({ environment: name, store, files, onMoved: () => void edge.refresh(), log })

  const commands = createReleaseCommands({ environment: name, files })
  const leaving = new AbortController()

  const find = (digest: string): InstanceRecord | undefined =>
    store.read(name).instances.find((instance) => instance.digest === digest && !instance.stopping)

  /** Drains, then stops. A newer owner ends the wait: what is not being stopped by then is left as it is. */
  async function putAway(records: readonly InstanceRecord[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      records.map(async ({ id }) => {
        await edge.drained(id, drainMs, signal)
        await unlessAborted(instances.stop(id, graceMs), signal)
      }),
    )
  }

  async function takeOff(): Promise<void> {
    await edge.switchTo({ upstreams: [] })
    store.update(name, (draft) => {
      delete draft.active
      draft.upstreams = []
    })
  }

  /** For a release that cannot run beside another: requests are answered 503 from here until it is activated. */
  async function makeWay(digest: string, signal: AbortSignal): Promise<void> {
    const others = store.read(name).instances.filter((instance) => instance.digest !== digest)
    if (store.read(name).active !== digest) await takeOff()
    await putAway(others, signal)
  }

  return {
    setEdge: (request) => edge.open(request),

    stage(request) {
      return fence.run({ fence: request.fence, operationId: request.operationId }, async (signal) => {
        checkPlace(request, options.apps)
        if (request.alone === true) await makeWay(request.digest, signal)
        const there = find(request.digest)
        const usable = there !== undefined && (there.activated || instances.isRunning(there.id))
        if (there !== undefined && !usable) await instances.stop(there.id, 0)
        const record = usable ? there : await instances.start(request)
        return () => viewOf(record, { instances, files, edge })
      })
    },

    async command({ fence: number, operationId, ...request }) {
      const result = await fence.run({ fence: number, operationId }, async (signal) => {
        checkPlace(request, options.apps)
        const ended = await commands.run(request, AbortSignal.any([signal, leaving.signal]))
        return () => ended
      })
      // What it printed may hold secrets, so it is in the log alone and not on record.
      const { log: file, ...end } = CommandResult.parse(result)
      return { ...end, tail: files.readTail(file, tailBytes) }
    },

    activate({ fence: number, operationId, digest }) {
      return fence.run({ fence: number, operationId }, async () => {
        const instance = find(digest)
        if (instance === undefined || !(instance.activated || instances.isRunning(instance.id))) {
          throw new BelayError({
            code: 'refused',
            message: `no instance of ${digest} runs in ${name}${instance?.exit === undefined ? '' : `: it ${instance.exit}`}`,
            hint: 'Stage the release again.',
          })
        }
        if (store.read(name).active !== digest) edge.reset(digest)
        await edge.switchTo({ active: digest, upstreams: [] })
        return (draft) => {
          for (const candidate of draft.instances) if (candidate.id === instance.id) candidate.activated = true
          // The environment has come over from another target, whose instances are its own business.
          draft.upstreams = []
          return replaceActive(draft, digest)
        }
      })
    },

    retire(operation) {
      return fence.run(operation, async (signal) => {
        const { active, instances: records, upstreams } = store.read(name)
        // Traffic that goes elsewhere goes to none of ours, whatever its release.
        const serving = upstreams.length > 0 ? undefined : active
        await putAway(
          records.filter(({ digest, stopping }) => digest !== serving || stopping),
          signal,
        )
        return () => ({})
      })
    },

    clear(operation) {
      return fence.run(operation, async (signal) => {
        await takeOff()
        await putAway(store.read(name).instances, signal)
        return () => ({})
      })
    },

    route({ fence: number, operationId, upstreams }) {
      return fence.run({ fence: number, operationId }, async (signal) => {
        const [{ digest } = { digest: '' }] = upstreams
        if (store.read(name).active !== digest) edge.reset(digest)
        await edge.switchTo({ active: digest, upstreams })
        const answer = store.update(name, (draft) => {
          draft.upstreams = upstreams
          return replaceActive(draft, digest)
        })
        // The environment has gone over to another target: what it had here has no traffic any more.
        await putAway(store.read(name).instances, signal)
        return () => answer
      })
    },

    announce: (operation) => fence.run(operation, () => Promise.resolve(() => ({}))),

    async drained({ instances: ids }) {
      await Promise.all(ids.map((id) => edge.drained(id, drainMs)))
    },

    remove() {
      const operation = { fence: store.read(name).fence, operationId: `remove ${randomUUID()}` }
      return fence.run(operation, async (signal) => {
        await takeOff()
        await putAway(store.read(name).instances, signal)
        await edge.remove(drainMs)
        return () => ({})
      })
    },

    view() {
      const { edge: recorded, fence: highest, active, instances: records, upstreams } = store.read(name)
      return {
        ...(recorded === undefined ? {} : { edge: { ...recorded, listening: edge.isListening() } }),
        fence: highest,
        ...(active === undefined ? {} : { active }),
        instances: records.filter(({ stopping }) => !stopping).map((record) => viewOf(record, { instances, files, edge })),
        upstreams,
        traffic: edge.totals(),
      }
    },

    totals: () => edge.totals(),

    async recover() {
      await Promise.all([instances.recover(), edge.recover(), commands.endLeft()])
    },

    async stop() {
      leaving.abort(new BelayError({ code: 'unavailable', message: 'the keeper is stopping', retryable: true }))
      await edge.close(stopDrainMs)
      await instances.park(stopGraceMs)
    },
  }
}

function replaceActive(draft: EnvironmentRecord, digest: string): { previousDigest?: string } {
  const previousDigest = draft.active
  draft.active = digest
  return previousDigest === undefined || previousDigest === digest ? {} : { previousDigest }
}

function viewOf(
  record: InstanceRecord,
  { instances, files, edge }: { instances: { isRunning(id: string): boolean }; files: AppFiles; edge: EdgeKeeper },
): InstanceView {
  const { id, digest, directory, restarts, exit, activated } = record
  const running = activated || instances.isRunning(id)
  const ending = running || exit !== undefined ? exit : 'ended'
  return {
    ...{ id, digest, directory, restarts, running },
    url: `http://127.0.0.1:${String(record.port)}`,
    ...(ending === undefined ? {} : { exit: ending, tail: files.readTail(record.log, tailBytes) }),
    inFlight: edge.inFlight(id),
  }
}

function checkPlace(
  { directory, workingDirectory, user }: Pick<StageRequest, 'directory' | 'workingDirectory' | 'user'>,
  apps: string,
): void {
  if (!isWithin(directory, apps) || !(workingDirectory === directory || isWithin(workingDirectory, directory))) {
    throw new BelayError({ code: 'invalid_input', message: `${workingDirectory} is not inside the directory of applications` })
  }
  if (user?.uid === 0 && process.getuid?.() === 0) {
    throw new BelayError({
      code: 'refused',
      message: 'the image asks for user 0, and applications do not run as root',
      hint: 'Give it another `user`, or none: it then runs as nobody.',
    })
  }
}

function isWithin(path: string, directory: string): boolean {
  return resolve(path) === path && path.startsWith(resolve(directory) + sep)
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let abort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => {
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', abort)
  })
  try {
    await Promise.race([work, aborted])
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort)
  }
}
