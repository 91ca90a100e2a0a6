/** Puts one runner together. */
import { join } from 'node:path'
import { mkdirSync, rmSync } from 'node:fs'
import type { OpenedWorkspace, OpenWorkspaceInput, ScriptInput, SegmentInput, SegmentResult } from '../contract/activities.ts'
import type { RunnerRestartedDetails } from '../contract/failures.ts'
import type { SegmentTokenRequest } from '../contract/runner-api.ts'
import type { Outcome } from '../domain/step.ts'
import type { Builder } from '../drivers/builders/builder.ts'
import { createQuiet } from './checkpoint/quiet.ts'
import { closeWorkspace } from './close-workspace.ts'
import { createInFlight } from './in-flight.ts'
import { createJournals } from './journal.ts'
import type { Log } from './log.ts'
import { createLogShipper } from './log-shipper.ts'
import { createNews } from './news.ts'
import { openWorkspace } from './open-workspace.ts'
import { createPlans } from './plans.ts'
import { reportPresence } from './presence.ts'
import { recover } from './recover.ts'
import { runScript } from './run-script.ts'
import { runSegment } from './run-segment.ts'
import { createRunStops } from './run-stops.ts'
import type { RunnerDeps, Task } from './runner-deps.ts'
import { createSegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'
import { createSlots } from './slots.ts'
import type { RunnerGroups } from './step-groups.ts'
import { stopWith } from './stop.ts'
import { sweepRegularly } from './sweep.ts'
import { lifetimeOfWork } from './token-lifetime.ts'
import type { StepUser, Workspaces } from './workspace/workspaces.ts'

export interface CreateRunnerOptions {
  name: string
  slots: number
  labels: string[]
  /** Directory of the runner's own files: journals, spool, plans. 0700. */
  directory: string
  images: string
  /** Environment of the programs that build images: PATH, HOME, proxies, how to reach an engine. */
  buildEnv: Readonly<Record<string, string>>
  workspaces: Workspaces
  builders: readonly Builder[]
  server: ServerClient
  /** PATH of the steps. */
  path: string
  user?: StepUser | undefined
  /** The cgroups of its steps; absent: process groups only. */
  groups?: RunnerGroups | undefined
  /** Between SIGTERM and SIGKILL, when a person cancels or a step times out. */
  graceMs: number
  runUrl(runId: string): string
  log: Log
}

export interface Runner {
  /** Once, before any work: kills what an earlier life left and tells Temporal; see `recover`. */
  recover(failActivity: (token: string, details: RunnerRestartedDetails) => Promise<void>): Promise<void>
  /** Presence and sweeping, from now until `stop`. */
  begin(): void
  openWorkspace(input: OpenWorkspaceInput, task: Task): Promise<OpenedWorkspace>
  runSegment(input: SegmentInput, task: Task): Promise<SegmentResult>
  runScript(input: ScriptInput, task: Task): Promise<Outcome | undefined>
  closeWorkspace(runId: string, keep?: boolean): Promise<void>
  /** Resolves when there is room for new work; false if the signal came first. */
  whenFree(signal: AbortSignal): Promise<boolean>
  /** Stops all steps, as `drained`; resolves when nothing is in flight. */
  drain(): Promise<void>
  /** After `drain`: gives logs and news a last chance, and ends. */
  stop(): Promise<void>
}

const sweepIntervalMs = 5 * 60_000
const lastChanceMs = 3_000

export function createRunner(options: CreateRunnerOptions): Runner {
  const draining = new AbortController()
  const over = new AbortController()
  const deps = assemble(options, draining.signal)
  let presence = Promise.resolve()
  return {
    async recover(failActivity) {
      await recover({ ...deps, failActivity, endEarlierGroups: options.groups?.endEarlier })
      // What its builds left, credentials among it; nothing that could use them is alive any more.
      rmSync(deps.scratch, { recursive: true, force: true })
    },
    begin() {
      const { name, slots, labels } = options
      const report = () => ({ runner: name, slots, busy: deps.slots.busy(), labels })
      presence = reportPresence({ ...deps, report }, over.signal)
      sweepRegularly(deps, sweepIntervalMs, over.signal)
    },
    openWorkspace: async (input, task) => await openWorkspace(deps, input, task),
    runSegment: async (input, task) => await runSegment(deps, input, task),
    runScript: async (input, task) => await runScript(deps, input, task),
    closeWorkspace: async (runId, keep) => await closeWorkspace(deps, { runId, keep }),
    whenFree: async (signal) => await deps.slots.whenFree(signal),
    async drain() {
      stopWith(draining, 'drained')
      await deps.inFlight.whenIdle()
    },
    async stop() {
      over.abort()
      await Promise.all([deps.shipper.settle(lastChanceMs), deps.news.stop(lastChanceMs)])
      await deps.shipper.stop()
      await presence
      options.groups?.close()
    },
  }
}

function assemble(options: CreateRunnerOptions, draining: AbortSignal): RunnerDeps {
  const { name, directory, server, log } = options
  const place = (part: string) => {
    mkdirSync(join(directory, part), { recursive: true, mode: 0o700 })
    return join(directory, part)
  }
  const createSession = (request: Omit<SegmentTokenRequest, 'runner'>) =>
    createSegmentSession(server, { ...request, runner: name })
  const shipper = createLogShipper({
    directory: place('spool'),
    server,
    log,
    createSession: ({ runId, epoch, planDigest, step }) =>
      createSession({ runId, epoch, planDigest, steps: [step], lifetimeMs: lifetimeOfWork(0) }),
  })
  return {
    ...options,
    groups: options.groups?.steps,
    scratch: join(directory, 'scratch'),
    shipper,
    createSession,
    draining,
    journals: createJournals(place('journal')),
    plans: createPlans(place('plans'), server),
    news: createNews({ runner: name, server, log }),
    slots: createSlots(options.slots),
    inFlight: createInFlight(),
    stops: createRunStops(),
    quiet: createQuiet(),
  }
}
