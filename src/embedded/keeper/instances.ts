/** The application processes of one environment: written down before they are started, watched, started again, stopped. */
import { randomBytes } from 'node:crypto'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { bootId, isAlive } from '../../process/identity.ts'
import { stopGroup } from '../../process/spawn.ts'
import type { AppFiles } from './app-files.ts'
import { findAppPort } from './app-port.ts'
import { adoptApp, killUnrecorded, startApp, type Watched } from './app-process.ts'
import type { StageRequest } from './keeper-api.ts'
import type { InstanceRecord, StateStore } from './keeper-state.ts'

export interface Instances {
  /** Starts a new one; returns when the process was started. Throws `refused` if it cannot be. */
  start(request: StageRequest): Promise<InstanceRecord>
  isRunning(id: string): boolean
  /** SIGTERM, grace, SIGKILL to its whole group, then forgets it. Twice: both wait for the same end. */
  stop(id: string, graceMs: number): Promise<void>
  /** After a start of the keeper: watches what lives, starts again what should, ends what was being stopped. */
  recover(): Promise<void>
  /** Stops them all, to be started again by the next keeper. */
  park(graceMs: number): Promise<void>
}

export interface InstancesOptions {
  environment: string
  store: StateStore
  files: AppFiles
  /** An instance is to be reached at another port. */
  onMoved(): void
  log(line: string): void
}

interface Runtime {
  watched?: Watched | undefined
  restart?: NodeJS.Timeout | undefined
  /** A start under way; never rejects. */
  launching?: Promise<void> | undefined
  stopping?: Promise<void>
  backoffMs: number
}

const firstBackoffMs = 50
const longestBackoffMs = 10_000
/** An application that lived this long starts its backoff again. */
const steadyMs = 10_000
const leftoverGraceMs = 1_000

export function createInstances({ environment, store, files, onMoved, log }: InstancesOptions): Instances {
  const runtimes = new Map<string, Runtime>()
  let parked = false

  const find = (id: string): InstanceRecord | undefined =>
    store.read(environment).instances.find((instance) => instance.id === id)

  function change(id: string, patch: (instance: InstanceRecord) => void): void {
    store.update(environment, (draft) => {
      const instance = draft.instances.find((candidate) => candidate.id === id)
      if (instance !== undefined) patch(instance)
    })
  }

  function runtimeOf(id: string): Runtime {
    const runtime = runtimes.get(id) ?? { backoffMs: firstBackoffMs }
    runtimes.set(id, runtime)
    return runtime
  }

  /** The record says "starting" before the process is there, and who it is right after. */
  async function launch(id: string): Promise<void> {
    const record = find(id)
    if (record === undefined) return
    const watched = await startApp(record, files)
    try {
      change(id, (instance) => {
        instance.identity = watched.identity
        instance.startedAt = Date.now()
      })
    } catch (error) {
      // A process that cannot be written down must not be there.
      await stopGroup(watched.identity, 0)
      throw error
    }
    watch(id, watched)
  }

  function watch(id: string, watched: Watched): void {
    const runtime = runtimeOf(id)
    runtime.watched = watched
    void watched.ended.then((how) => {
      if (runtime.watched !== watched) return
      runtime.watched = undefined
      noteEnd(id, how)
    })
  }

  function noteEnd(id: string, how: string): void {
    const record = find(id)
    if (record === undefined || record.stopping || parked) return
    const again = record.activated
    const exit = record.restarts === 0 ? how : `${how} (started again ${String(record.restarts)} times before)`
    log(`${environment}: ${record.digest} ${exit}${again ? '; starting it again' : ''}`)
    noteExit(id, exit)
    if (again) planRestart(id, Date.now() - record.startedAt)
  }

  function noteExit(id: string, exit: string): void {
    try {
      change(id, (instance) => {
        instance.exit = exit
      })
    } catch (error) {
      log(`${environment}: ${messageOf(error)}`)
    }
  }

  function planRestart(id: string, livedMs: number): void {
    const runtime = runtimeOf(id)
    if (livedMs >= steadyMs) runtime.backoffMs = firstBackoffMs
    runtime.restart = setTimeout(() => void relaunch(id, true), runtime.backoffMs)
    runtime.backoffMs = Math.min(runtime.backoffMs * 2, longestBackoffMs)
  }

  function relaunch(id: string, counted: boolean): Promise<void> {
    const runtime = runtimeOf(id)
    runtime.launching = startAgain(id, counted).catch((error: unknown) => {
      log(`${environment}: cannot start ${id} again: ${messageOf(error)}`)
      if (parked || find(id)?.stopping !== false) return
      noteExit(id, `could not be started again: ${messageOf(error)}`)
      planRestart(id, 0)
    })
    return runtime.launching
  }

  async function startAgain(id: string, counted: boolean): Promise<void> {
    const record = find(id)
    if (record === undefined || record.stopping || parked) return
    // What its dead leader left behind goes first.
    if (record.identity === undefined) await killUnrecorded(id)
    else await stopGroup(record.identity, leftoverGraceMs)
    const port = await findAppPort(takenPorts())
    change(id, (instance) => {
      delete instance.identity
      instance.port = port
      instance.parked = false
      if (counted) instance.restarts += 1
    })
    onMoved()
    await launch(id)
  }

  function takenPorts(): number[] {
    return store.names().flatMap((name) => store.read(name).instances.map(({ port }) => port))
  }

  async function end(id: string, graceMs: number): Promise<void> {
    change(id, (instance) => {
      instance.stopping = true
    })
    await silence(id, graceMs)
    store.update(environment, (draft) => {
      draft.instances = draft.instances.filter((instance) => instance.id !== id)
    })
    files.removeEnv(id)
    files.pruneLogs(environment)
    runtimes.delete(id)
  }

  /** Nothing of it runs, and nothing of it will be started. */
  async function silence(id: string, graceMs: number): Promise<void> {
    const runtime = runtimeOf(id)
    clearTimeout(runtime.restart)
    await runtime.launching
    clearTimeout(runtime.restart)
    runtime.watched?.unwatch()
    runtime.watched = undefined
    const identity = find(id)?.identity
    await (identity === undefined ? killUnrecorded(id) : stopGroup(identity, graceMs))
  }

  async function recoverOne(record: InstanceRecord): Promise<void> {
    const { id, identity } = record
    if (record.stopping) {
      stop(id, leftoverGraceMs).catch((error: unknown) => {
        log(`${environment}: ${messageOf(error)}`)
      })
    } else if (identity !== undefined && isAlive(identity)) {
      change(id, (instance) => {
        instance.parked = false
      })
      watch(id, adoptApp(identity))
    } else {
      // Not its own doing: stopped with a keeper, killed between two lines of one, or lost with the machine.
      const faultless = record.parked || identity === undefined || identity.bootId !== bootId()
      if (faultless || record.activated) return relaunch(id, !faultless)
      change(id, (instance) => {
        instance.exit ??= 'ended while the keeper was away'
      })
    }
  }

  function stop(id: string, graceMs: number): Promise<void> {
    const runtime = runtimeOf(id)
    runtime.stopping ??= end(id, graceMs).catch((error: unknown) => {
      delete runtime.stopping
      throw error
    })
    return runtime.stopping
  }

  return {
    stop,
    async start(request) {
      const id = `${Date.now().toString(36)}-${randomBytes(4).toString('hex')}`
      const { digest, directory, workingDirectory, command, user } = request
      const record: InstanceRecord = {
        ...{ id, digest, directory, workingDirectory, command },
        ...(user === undefined ? {} : { user }),
        port: await findAppPort(takenPorts()),
        startedAt: Date.now(),
        log: files.logFile(environment, id),
        ...{ activated: false, stopping: false, parked: false, restarts: 0 },
      }
      files.saveEnv(id, request.env)
      store.update(environment, (draft) => {
        draft.instances.push(record)
      })
      try {
        await launch(id)
      } catch (error) {
        await stop(id, 0)
        throw error
      }
      return find(id) ?? gone(id)
    },
    // By what was noticed, not by what /proc says: so whoever learns that it is dead also learns how it ended.
    isRunning: (id) => runtimes.get(id)?.watched !== undefined,
    async recover() {
      await Promise.all(store.read(environment).instances.map(recoverOne))
    },
    async park(graceMs) {
      parked = true
      const records = store.read(environment).instances.filter(({ stopping }) => !stopping)
      store.update(environment, (draft) => {
        for (const instance of draft.instances) instance.parked = !instance.stopping
      })
      await Promise.all(records.map(({ id }) => silence(id, graceMs)))
      await Promise.all([...runtimes.values()].flatMap(({ stopping }) => stopping ?? []))
    },
  }
}

function gone(id: string): never {
  throw new BelayError({ code: 'internal', message: `instance ${id} has vanished from the record` })
}
