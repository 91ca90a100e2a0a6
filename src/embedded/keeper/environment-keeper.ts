/** One environment as the keeper holds it: its edge, its instances, and the operations that change them. */
import { resolve, sep } from 'node:path'
import { BelayError, messageOf } from '../../domain/errors.ts'
import type { AppFiles } from './app-files.ts'
import { createEdge } from './edge.ts'
import { createFence } from './fencing.ts'
import { createInstances } from './instances.ts'
import type { ActivateRequest, EdgeRequest, EnvironmentView, InstanceView, Operation, StageRequest } from './keeper-api.ts'
import type { InstanceRecord, StateStore } from './keeper-state.ts'
import { createTraffic, type Totals, type Traffic } from './traffic.ts'

export interface EnvironmentKeeper {
  setEdge(request: EdgeRequest): Promise<EdgeRequest>
  stage(request: StageRequest): Promise<unknown>
  activate(request: ActivateRequest): Promise<unknown>
  retire(operation: Operation): Promise<unknown>
  clear(operation: Operation): Promise<unknown>
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
  log(line: string): void
}

const drainMs = 30_000
const graceMs = 10_000
/** When all of Belay stops there is less time. */
const stopDrainMs = 5_000
const stopGraceMs = 4_000
const listenAgainMs = 500
const tailBytes = 8_192

export function createEnvironmentKeeper(options: EnvironmentKeeperOptions): EnvironmentKeeper {
  const { name, store, files, log } = options
  const fence = createFence(name, store)
  const instances = createInstances({ environment: name, store, files, log })
  const traffic = createTraffic(options.totals)
  const edge = createEdge({ traffic, route: () => findServing(store, name) })
  let listenAgain: NodeJS.Timeout | undefined
  let stopped = false

  const find = (digest: string): InstanceRecord | undefined =>
    store.read(name).instances.find((instance) => instance.digest === digest && !instance.stopping)

  async function listen(address: EdgeRequest): Promise<void> {
    try {
      await edge.listen(address)
    } catch (error) {
      log(`${name}: ${messageOf(error)}; trying again`)
      if (!stopped) listenAgain = setTimeout(() => void listen(address), listenAgainMs)
    }
  }

  /** Drains, then stops. A newer owner ends the wait: what is not being stopped by then is left as it is. */
  async function putAway(records: readonly InstanceRecord[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      records.map(async ({ id }) => {
        await traffic.drained(id, drainMs, signal)
        await unlessAborted(instances.stop(id, graceMs), signal)
      }),
    )
  }

  /** For a release that cannot run beside another: requests are answered 503 from here until it is activated. */
  async function makeWay(digest: string, signal: AbortSignal): Promise<void> {
    const others = store.read(name).instances.filter((instance) => instance.digest !== digest)
    if (store.read(name).active !== digest) {
      store.update(name, (draft) => {
        delete draft.active
      })
    }
    await putAway(others, signal)
  }

  return {
    async setEdge({ host, port }) {
      const known = edge.address()
      const wanted = port === 0 && known?.host === host ? known : { host, port }
      clearTimeout(listenAgain)
      const address = await edge.listen(wanted)
      if (store.read(name).edge?.port !== address.port || store.read(name).edge?.host !== host) {
        store.update(name, (draft) => {
          draft.edge = address
        })
      }
      return address
    },

    stage(request) {
      return fence.run({ fence: request.fence, operationId: request.operationId }, async (signal) => {
        checkStage(request, options.apps)
        if (request.alone === true) await makeWay(request.digest, signal)
        const there = find(request.digest)
        const usable = there !== undefined && (there.activated || instances.isRunning(there.id))
        if (there !== undefined && !usable) await instances.stop(there.id, 0)
        const record = usable ? there : await instances.start(request)
        return () => viewOf(record, { instances, files, traffic })
      })
    },

    activate({ fence: number, operationId, digest }) {
      return fence.run({ fence: number, operationId }, () => {
        const instance = find(digest)
        if (instance === undefined || !(instance.activated || instances.isRunning(instance.id))) {
          return Promise.reject(
            new BelayError({
              code: 'refused',
              message: `no instance of ${digest} runs in ${name}${instance?.exit === undefined ? '' : `: it ${instance.exit}`}`,
              hint: 'Stage the release again.',
            }),
          )
        }
        return Promise.resolve((draft) => {
          const previousDigest = draft.active
          if (previousDigest !== digest) traffic.reset(digest)
          draft.active = digest
          for (const candidate of draft.instances) if (candidate.id === instance.id) candidate.activated = true
          return previousDigest === undefined || previousDigest === digest ? {} : { previousDigest }
        })
      })
    },

    retire(operation) {
      return fence.run(operation, async (signal) => {
        const { active, instances: records } = store.read(name)
        await putAway(
          records.filter(({ digest, stopping }) => digest !== active || stopping),
          signal,
        )
        return () => ({})
      })
    },

    clear(operation) {
      return fence.run(operation, async (signal) => {
        store.update(name, (draft) => {
          delete draft.active
        })
        await putAway(store.read(name).instances, signal)
        return () => ({})
      })
    },

    view() {
      const { edge: recorded, fence: highest, active, instances: records } = store.read(name)
      return {
        ...(recorded === undefined ? {} : { edge: { ...recorded, listening: edge.address() !== undefined } }),
        fence: highest,
        ...(active === undefined ? {} : { active }),
        instances: records.filter(({ stopping }) => !stopping).map((record) => viewOf(record, { instances, files, traffic })),
        traffic: traffic.totals(),
      }
    },

    totals: () => traffic.totals(),

    async recover() {
      const { edge: address } = store.read(name)
      await Promise.all([instances.recover(), address === undefined ? undefined : listen(address)])
    },

    async stop() {
      stopped = true
      clearTimeout(listenAgain)
      await edge.close(stopDrainMs)
      await instances.park(stopGraceMs)
    },
  }
}

function findServing(store: StateStore, name: string): InstanceRecord | undefined {
  const { active, instances } = store.read(name)
  return active === undefined ? undefined : instances.find(({ digest, stopping }) => digest === active && !stopping)
}

function viewOf(
  record: InstanceRecord,
  { instances, files, traffic }: { instances: { isRunning(id: string): boolean }; files: AppFiles; traffic: Traffic },
): InstanceView {
  const { id, digest, directory, restarts, exit, activated } = record
  const running = activated || instances.isRunning(id)
  const ending = running || exit !== undefined ? exit : 'ended'
  return {
    ...{ id, digest, directory, restarts, running },
    url: `http://127.0.0.1:${String(record.port)}`,
    ...(ending === undefined ? {} : { exit: ending, tail: files.readTail(record.log, tailBytes) }),
    inFlight: traffic.inFlight(id),
  }
}

function checkStage({ directory, workingDirectory, user }: StageRequest, apps: string): void {
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
