/** The runner: a Temporal worker with workspaces on its disk. It runs other people's code, and so holds no credentials. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ActivityCancelledError, ActivityNotFoundError, Client } from '@temporalio/client'
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker'
import { createRunnerActivities, restarted } from '../src/activities/runner.ts'
import type { RunnerRestartedDetails } from '../src/contract/failures.ts'
import { runnerQueue, taskQueues } from '../src/contract/task-queues.ts'
import { messageOf } from '../src/domain/errors.ts'
import { builders } from '../src/drivers/builders/index.ts'
import type { StepLimits } from '../src/process/cgroup-limits.ts'
import { createDataConverter } from '../src/payloads/data-converter.ts'
import { engineEnvironment, pickVariables } from '../src/process/engine-environment.ts'
import { describeCgroups, findCgroups } from '../src/process/find-cgroups.ts'
import { acquireHostLock } from '../src/process/host-lock.ts'
import { createRunner, type Runner } from '../src/runner/create-runner.ts'
import type { Log } from '../src/runner/log.ts'
import { createServerClient } from '../src/runner/server-client.ts'
import { openRunnerGroups, type RunnerGroups } from '../src/runner/step-groups.ts'
import { pause } from '../src/runner/stop.ts'
import { endEarlierWatchdog, startWatched } from '../src/runner/watched.ts'
import { createWorkspaces, type StepUser } from '../src/runner/workspace/workspaces.ts'
import { keepContact } from './contact.ts'
import { createLog } from './log.ts'
import { agreeWithServer, endFor } from './payload-keys.ts'
import { openingSlots } from './opening-slots.ts'

export interface RunnerOptions {
  /** `[a-z0-9][a-z0-9._-]*`; unique among the runners of a server. */
  name: string
  /** How much work may be in progress at once. */
  slots: number
  labels: string[]
  serverUrl: string
  /** What people reach the server by; absent: `serverUrl`. */
  publicUrl?: string
  /** The runner's own token. */
  token: string
  /** Of what goes through Temporal; absent: nothing is encrypted. */
  payloadKeys?: readonly string[]
  /**
   * It is configured apart from its server: asks that one first which keys there are, waits until they agree, and ends the process
   * when a key comes that it lacks, so that nothing is failed for want of one.
   */
  apart?: boolean
  temporal: { address: string; namespace: string }
  /** `runner`: journals, spool, plans, mirrors; 0700. */
  places: { runner: string; workspaces: string; images: string }
  /** PATH of the steps. */
  path: string
  /** Whom steps run as; absent: as this process. */
  user?: StepUser
  graceMs: number
  /** Of each step. Throws `missing_part` where they cannot be kept. */
  limits?: StepLimits
  /** The program that watches over it; absent: nobody does, as in a test. */
  watchdog?: { file: string; args: readonly string[] }
  log?: Log
}

/**
 * Takes the host lock (throws `conflict` if another runner has the directory), ends what an earlier life left, tells Temporal,
 * waiting for it if it is away, and polls. `stop` drains: steps are stopped and run again later; it takes up to about 8 s.
 */
export async function start(options: RunnerOptions): Promise<{ stop(): Promise<void> }> {
  const { places, temporal, log = createLog('runner', 2) } = options
  mkdirSync(places.runner, { recursive: true, mode: 0o700 })
  const lock = acquireHostLock(join(places.runner, 'lock.db'), `the runner directory ${places.runner}`)
  if (options.apart === true) await agreeWithServer(options, log)
  await endEarlierWatchdog(places.runner)
  const groups = openGroups(options, log)
  const runner = assemble(options, groups, log)
  const dataConverter = createDataConverter(
    options.payloadKeys ?? [],
    options.apart === true ? { onMissingKey: endFor(log) } : {},
  )
  const connection = await connect(temporal, log)
  const client = new Client({ connection, namespace: temporal.namespace, dataConverter })
  await runner.recover(async (token, details) => await failActivity(client, { token, details, log }))
  const watching = await startWatching(options, connection, log)
  const stopping = new AbortController()
  const plans = createWorkerOptions(options, { runner, client }).map((worker) => ({ connection, dataConverter, ...worker }))
  const workers = await Promise.all(plans.map(async (plan) => ({ plan, worker: await Worker.create(plan) })))
  const running = workers.map(({ plan, worker }) => keepWorking(worker, plan, { stopping: stopping.signal, log }))
  runner.begin()
  return {
    async stop() {
      stopping.abort()
      await runner.drain()
      await Promise.all(running)
      await runner.stop()
      await watching.end()
      await connection.close()
      lock.release()
    },
  }
}

/** Where the machine has cgroups and we may not use them, steps are process groups; but a limit is never left out in silence. */
function openGroups({ places, limits = {} }: RunnerOptions, log: Log): RunnerGroups {
  const cgroups = findCgroups()
  log.info({ cgroups: describeCgroups(cgroups), limits }, 'how steps are kept together')
  try {
    return openRunnerGroups(places.runner, cgroups, limits)
  } catch (error) {
    if (limits.memoryBytes !== undefined || limits.pids !== undefined) throw error
    log.warn({ error: messageOf(error) }, 'cgroups cannot be used')
    return openRunnerGroups(places.runner, { kind: 'none', obstacles: [messageOf(error)] }, {})
  }
}

/** From now on the steps end when nothing is heard of us; until `end`, in order. */
async function startWatching(
  { places, path, temporal, watchdog }: RunnerOptions,
  connection: NativeConnection,
  log: Log,
): Promise<{ end(): Promise<void> }> {
  if (watchdog === undefined) return { end: () => Promise.resolve() }
  const watched = await startWatched({ directory: places.runner, program: watchdog, env: { PATH: path }, log })
  const over = new AbortController()
  const contact = keepContact({ connection, address: temporal.address, renew: watched.renew }, over.signal)
  return {
    async end() {
      over.abort()
      await contact
      await watched.release()
    },
  }
}

function assemble(options: RunnerOptions, groups: RunnerGroups, log: Log): Runner {
  const { places, user } = options
  const server = createServerClient(options)
  const workspaces = createWorkspaces({
    workspaces: places.workspaces,
    mirrors: join(places.runner, 'mirrors'),
    user,
    fetchArtifact: async (digest) => await server.fetchArtifact(digest),
    warn: (details, message) => log.warn(details, message),
  })
  const runUrl = (runId: string) => new URL(`/api/v1/runs/${runId}`, options.publicUrl ?? options.serverUrl).href
  return createRunner({
    ...{ ...options, server, workspaces, builders, runUrl, groups, log },
    directory: places.runner,
    images: places.images,
    buildEnv: buildEnvironment(process.env, options.path),
  })
}

/** What programs that build images need of ours: how to reach an engine and the world, and no more. */
const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY']

function buildEnvironment(env: NodeJS.ProcessEnv, path: string): Record<string, string> {
  const names = ['HOME', 'LANG', ...proxyVariables, ...proxyVariables.map((name) => name.toLowerCase())]
  return { ...pickVariables(env, names), ...engineEnvironment(env), PATH: path }
}

const connectAgainMs = 250

/** Waits for Temporal: until its port is open and its namespace answers. */
async function connect(temporal: RunnerOptions['temporal'], log: Log): Promise<NativeConnection> {
  let connection: NativeConnection | undefined
  for (let tries = 0; ; tries += 1) {
    try {
      connection ??= await NativeConnection.connect({ address: temporal.address })
      await connection.workflowService.describeNamespace({ namespace: temporal.namespace })
      return connection
    } catch (error) {
      if (tries === 0) log.warn({ error: messageOf(error) }, 'waiting for Temporal')
      await pause(connectAgainMs)
    }
  }
}

const mostRefusals = 3

/** Tries for as long as Temporal is away; an activity that is over, or that it will not hear of, is left alone. */
async function failActivity(
  client: Client,
  { token, details, log }: { token: string; details: RunnerRestartedDetails; log: Log },
): Promise<void> {
  for (let refusals = 0; refusals < mostRefusals;) {
    try {
      return await client.activity.fail(Buffer.from(token, 'base64'), restarted(details.interrupted, details.outcomes))
    } catch (error) {
      if (error instanceof ActivityNotFoundError) return
      if (await answers(client)) refusals += 1
      log.warn({ error: messageOf(error) }, 'could not tell Temporal about an activity of an earlier life')
      await pause(connectAgainMs)
    }
  }
}

async function answers(client: Client): Promise<boolean> {
  try {
    await client.workflowService.describeNamespace({ namespace: client.options.namespace })
    return true
  } catch {
    // The question was whether it answers.
    return false
  }
}

/** Whether somebody has asked to cancel it, the worker learns by its own heartbeats. */
async function heartbeat(client: Client, token: Uint8Array, details: unknown): Promise<'ours' | 'gone'> {
  try {
    await client.activity.heartbeat(token, details)
    return 'ours'
  } catch (error) {
    if (error instanceof ActivityNotFoundError) return 'gone'
    if (error instanceof ActivityCancelledError) return 'ours'
    throw error
  }
}

function createWorkerOptions(
  options: RunnerOptions,
  { runner, client }: { runner: Runner; client: Client },
): Omit<WorkerOptions, 'connection'>[] {
  const { openWorkspace, ...own } = createRunnerActivities({
    runner,
    heartbeat: (token, details) => heartbeat(client, token, details),
  })
  const common = {
    namespace: options.temporal.namespace,
    // Also the delay of a cancel.
    maxHeartbeatThrottleInterval: '2s',
    defaultHeartbeatThrottleInterval: '1s',
    shutdownGraceTime: '8s',
    shutdownForceTime: '12s',
  } as const
  return [
    // Segments wait for their slot inside the activity, so the queue itself is taken from freely.
    { ...common, taskQueue: runnerQueue(options.name), activities: own, maxConcurrentActivityTaskExecutions: 500 },
    { ...common, taskQueue: taskQueues.openings, activities: { openWorkspace }, tuner: openingSlots(runner) },
  ]
}

/** Runs a worker until told to stop; one that breaks is replaced. */
async function keepWorking(
  first: Worker,
  options: WorkerOptions,
  { stopping, log }: { stopping: AbortSignal; log: Log },
): Promise<void> {
  for (let worker: Worker | undefined = first; worker !== undefined;) {
    try {
      // If it ends without an error, somebody told it to.
      return await runWorker(worker, stopping)
    } catch (error) {
      log.error({ error: messageOf(error), taskQueue: options.taskQueue }, 'a worker broke; started again')
      worker = await replaceWorker(options, stopping)
    }
  }
}

async function runWorker(worker: Worker, stopping: AbortSignal): Promise<void> {
  const running = worker.run()
  const shutDown = () => {
    if (worker.getState() === 'RUNNING') worker.shutdown()
  }
  if (stopping.aborted) shutDown()
  else stopping.addEventListener('abort', shutDown, { once: true })
  await running
}

/** Undefined once it is not wanted any more. */
async function replaceWorker(options: WorkerOptions, stopping: AbortSignal): Promise<Worker | undefined> {
  while (await pause(1_000, stopping)) {
    try {
      return await Worker.create(options)
    } catch {
      // Temporal is away: it is asked again, and the broken worker's error has been said.
    }
  }
  return undefined
}
