import { WorkflowNotFoundError } from '@temporalio/client'
import type { SignalDefinition } from '@temporalio/common'
import type { ControlActivities } from '../contract/activities.ts'
import { environmentSignal } from '../contract/environment-workflow.ts'
import { presenceTimeoutMs } from '../contract/runner-api.ts'
import { answerSignal, sayAgainSignal } from '../contract/run-workflow.ts'
import { taskQueues, workflowTaskTimeout } from '../contract/task-queues.ts'
import { environmentWorkflowId, recoveryWorkflowId, runWorkflowId } from '../contract/workflow-ids.ts'
import { BelayError } from '../domain/errors.ts'
import { findFreeze } from '../domain/freeze-times.ts'
import type { ProjectRules } from '../pipeline/project-rules.ts'
import type { KnownRunner } from '../store/store.ts'
import { compileRun } from './compile-run.ts'
import { cutLogs } from './cut-logs.ts'
import { guarded } from './guarded.ts'
import { loadResume } from './load-resume.ts'
import { readRemains, type RemainsDeps } from './read-remains.ts'

export interface ControlDeps extends RemainsDeps {
  /** What a project's pipelines may use; undefined: the project is not configured (any more). */
  findRules(project: string): ProjectRules | undefined
}

/** Bookkeeping: how workflows reach the store and each other. */
export function createControlActivities(deps: ControlDeps): ControlActivities {
  const { store, client } = deps
  const roundOf = async (runId: string): Promise<number> => (await store.runs.find(runId))?.round ?? 0
  /** Whichever of the two is open: a recovery takes the run's place. */
  const signalRun = async <T>(run: { id: string; round: number }, signal: SignalDefinition<[T]>, told: T): Promise<void> => {
    for (const workflowId of [runWorkflowId(run.id, run.round), recoveryWorkflowId(run.id, run.round)]) {
      if (await isTaken(client.workflow.getHandle(workflowId).signal(signal, told))) return
    }
  }
  return guarded<ControlActivities>({
    compileRun: (input) => compileRun(deps, input),
    loadResume: (input) => loadResume(store, input),
    recordRunEvents: ({ runId, events }) => store.runs.record(runId, events),
    finishRun: ({ runId, ending, events }) => store.runs.finish(runId, ending, events),
    async isRunnerActive({ runner }) {
      const since = Date.now() - presenceTimeoutMs
      return (await store.presence.list()).some((seen) => seen.runner === runner && seen.seenAt >= since)
    },
    async findRunner({ runner }) {
      const now = Date.now()
      const known = await store.presence.list()
      const isActive = (seen: KnownRunner) => seen.active && now - seen.seenAt <= presenceTimeoutMs
      const mine = known.find((seen) => seen.runner === runner)
      return {
        active: mine !== undefined && isActive(mine),
        ...(mine === undefined ? {} : { seenAt: mine.seenAt }),
        others: known.some((seen) => seen.runner !== runner && isActive(seen)),
      }
    },
    noteHolder: (input) => store.holders.note(input),
    cutLogs: (input) => cutLogs(store, input),
    async createRelease({ from, ...input }) {
      const images = from.flatMap(({ result }) => result.image ?? [])
      const [image] = images
      if (image === undefined || images.length > 1) {
        throw new BelayError({
          code: 'refused',
          message: `a release needs exactly one image; the steps ${from.map(({ step }) => step).join(', ')} made ${String(images.length)}`,
          hint: 'Name one build_image step in `from`; several images in one release come later.',
        })
      }
      return store.releases.create({ ...input, image, artifacts: from.flatMap(({ result }) => result.artifacts ?? []) })
    },
    async tellEnvironment({ environment, message }) {
      await client.workflow.signalWithStart('environment', {
        taskQueue: taskQueues.control,
        workflowId: environmentWorkflowId(environment),
        args: [{ name: environment }],
        signal: environmentSignal,
        signalArgs: [message],
        workflowTaskTimeout,
      })
    },
    async answerRun({ runId, answer }) {
      await signalRun({ id: runId, round: await roundOf(runId) }, answerSignal, answer)
    },
    async callRuns({ environment }) {
      for (const run of await store.runs.listStarted()) await signalRun(run, sayAgainSignal, environment)
    },
    async isRunOpen({ runId }) {
      const workflowId = runWorkflowId(runId, await roundOf(runId))
      const description = await unlessClosed(client.workflow.getHandle(workflowId).describe())
      return description?.status.name === 'RUNNING'
    },
    readRemains: (input) => readRemains(deps, input),
    loadEnvironment: ({ environment }) => store.environments.load(environment),
    takeFence: ({ environment, fence }) => store.environments.takeFence(environment, fence),
    recordEnvironment: ({ state, deployment }) => store.environments.record(state, deployment),
    findFreeze({ freezes, at }) {
      const found = findFreeze(freezes, at)
      return Promise.resolve(found === undefined ? {} : { held: { until: found.until, reason: found.reason } })
    },
  })
}

async function isTaken(signal: Promise<void>): Promise<boolean> {
  return (await unlessClosed(signal.then(() => true))) === true
}

/** "Closed" and "not found" count as delivered. */
async function unlessClosed<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined
    throw error
  }
}
