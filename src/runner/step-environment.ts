/** What a command finds in its environment: this, and nothing of ours. */
import { join } from 'node:path'
import type { RunIdentity } from '../domain/run.ts'
import { tagOf, tagVariable } from './leftovers.ts'
import type { WorkspaceDirs } from './workspace/workspaces.ts'

export interface StepEnvironmentInput {
  run: RunIdentity
  /** Name of the pipeline. */
  pipeline: string
  step: string
  attempt: number
  epoch: number
  dirs: WorkspaceDirs
  /** PATH for steps. */
  path: string
  /** URL of the run, for people. */
  runUrl: string
  /** The step's own, secrets resolved. */
  own: Readonly<Record<string, string>>
}

/** The step's own variables may replace the general ones, but none of BELAY's. What does not apply is empty. */
export function composeEnvironment(input: StepEnvironmentInput): Record<string, string> {
  const { run, dirs } = input
  return {
    PATH: input.path,
    HOME: dirs.home,
    TMPDIR: dirs.tmp,
    LANG: 'C.UTF-8',
    TZ: 'UTC',
    CI: 'true',
    ...input.own,
    BELAY: 'true',
    BELAY_RUN_ID: run.id,
    BELAY_RUN_NUMBER: String(run.number),
    BELAY_RUN_URL: input.runUrl,
    BELAY_PROJECT: run.project,
    BELAY_PIPELINE: input.pipeline,
    BELAY_STEP: input.step,
    BELAY_ATTEMPT: String(input.attempt),
    BELAY_EVENT: run.trigger.event,
    BELAY_SHA: run.trigger.sha,
    BELAY_BRANCH: run.trigger.branch,
    BELAY_TAG: '',
    BELAY_BASE_BRANCH: '',
    BELAY_PR_NUMBER: '',
    BELAY_ACTOR: run.trigger.actor.name,
    BELAY_WORKSPACE: dirs.checkout,
    BELAY_OUTPUT: join(dirs.output, `${input.step}.${String(input.attempt)}`),
    [tagVariable]: tagOf({ runId: run.id, epoch: input.epoch }),
  }
}
