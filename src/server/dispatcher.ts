/** Carries the store's commands to Temporal: what was accepted is started, however long Temporal was away. */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { BelayError, messageOf } from '../domain/errors.ts'
import { isEndedRun, RunIdentity } from '../domain/run.ts'
import { faultPoint } from '../process/fault-point.ts'
import type { Command, Run, Store } from '../store/store.ts'
import { backoffMs, pause } from './backoff.ts'
import type { Disk } from './disk.ts'
import type { Orchestrator } from './orchestrator.ts'

export interface DispatcherDeps {
  config: Config
  store: Store
  orchestrator: Orchestrator
  log: Logger
  /** Absent: there is always room. */
  disk?: Disk
}

export interface Dispatcher {
  /** Ends after the commands in flight; what is left waits for the next dispatcher. */
  stop(): Promise<void>
}

const batch = 20
/** Above the longest deadline of a call, so a living dispatcher never loses a lease. */
const leaseMs = 30_000
const waitMs = 500
const retry = { first: 250, most: 5_000 } as const

/** Starts at once. Several may run, in any processes: each command is leased by one of them. */
export function startDispatcher(deps: DispatcherDeps): Dispatcher {
  const owner = randomUUID()
  const stopping = new AbortController()
  const done = loop(deps, owner, stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function loop(deps: DispatcherDeps, owner: string, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      const obstacle = await deps.disk?.findObstacle()
      if (obstacle !== undefined) await deps.store.commands.hold(obstacle)
      const only = obstacle === undefined ? {} : { only: 'cancel' as const }
      const commands = await deps.store.commands.lease({ owner, leaseMs, limit: batch, ...only })
      await Promise.all(commands.map((command) => carry(deps, command)))
      failures = 0
      if (commands.length > 0) continue
      if (obstacle === undefined) await deps.store.commands.wait(waitMs)
      else await pause(waitMs, signal)
    } catch (error) {
      failures += 1
      deps.log.error({ error: messageOf(error) }, 'the dispatcher cannot read or write its commands')
      await pause(backoffMs(failures, retry), signal)
    }
  }
}

/** Brings one command to Temporal, or notes when it is tried again. Throws only if the store does. */
async function carry(deps: DispatcherDeps, command: Command): Promise<void> {
  faultPoint('dispatcher.leased')
  const { store, log } = deps
  const line = { run: command.runId, command: command.kind, attempt: command.attempts }
  try {
    await deliver(deps, command)
  } catch (error) {
    const waitingMs = backoffMs(command.attempts, retry)
    log.warn({ ...line, error: messageOf(error), retryInMs: waitingMs }, 'command not delivered yet')
    await store.commands.retry(command.id, { retryAt: Date.now() + waitingMs, error: messageOf(error) })
    return
  }
  faultPoint('dispatcher.acknowledge')
  await store.commands.done(command.id)
  faultPoint('dispatcher.acknowledged')
  log.info(line, 'command delivered')
}

async function deliver(deps: DispatcherDeps, command: Command): Promise<void> {
  const run = await deps.store.runs.find(command.runId)
  if (run === undefined) throw new BelayError({ code: 'internal', message: 'the command names a run that is not there' })
  if (isEndedRun(run.status) || command.round !== run.round) return
  if (command.kind === 'start') {
    await startRun(deps, run, command.from)
    return
  }
  const { actor = { id: 'belay', name: 'belay' }, reason } = command
  faultPoint('dispatcher.cancel')
  await deps.orchestrator.cancelRun(run, { actor, ...(reason === undefined ? {} : { reason }) })
  faultPoint('dispatcher.cancelled')
}

async function startRun(deps: DispatcherDeps, run: Run, from: string | undefined): Promise<void> {
  const { config, orchestrator } = deps
  const project = Object.hasOwn(config.projects, run.project) ? config.projects[run.project] : undefined
  if (project === undefined) {
    await endErrored(deps, run, `the project ${run.project} is no longer configured`)
    return
  }
  const repository = { project: run.project, url: project.repository }
  faultPoint('dispatcher.start')
  const { round, epoch } = run
  const resume = round === 0 ? {} : { resume: { round, epoch, ...(from === undefined ? {} : { from }) } }
  const started = await orchestrator.startRun({ run: RunIdentity.parse(run), repository, ...resume })
  faultPoint('dispatcher.started')
  if (started === 'foreign') await endErrored(deps, run, 'Temporal has a workflow of this id that another store started')
}

/** The run's one write without a workflow: none will ever be there to say how it ended. */
async function endErrored({ store, log }: DispatcherDeps, run: Run, reason: string): Promise<void> {
  const at = Date.now()
  const event = {
    source: 'server',
    epoch: run.round,
    n: 0,
    at,
    body: { type: 'run' as const, status: 'errored' as const, reason },
  }
  await store.runs.finish(run.id, { status: 'errored', reason, at, round: run.round }, [event])
  log.error({ run: run.id, project: run.project, reason }, 'run ended without a workflow')
}
