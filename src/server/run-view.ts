/** Runs as the API shows them. */
import type { PlanOutline, RunDetail, RunView } from '../api/run-schemas.ts'
import type { Config } from '../config/config.ts'
import type { EnvironmentState } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import type { Plan } from '../domain/plan.ts'
import type { StoredRunEvent } from '../domain/run-event.ts'
import type { Run, Store } from '../store/store.ts'

export function runUrl(config: Config, runId: string): string {
  return new URL(`/api/v1/runs/${runId}`, config.publicUrl).href
}

/** The route's own schema takes out what is not for readers. */
export function viewOf(config: Config, run: Run): RunView {
  return { ...run, url: runUrl(config, run.id) }
}

export function outlineOf(plan: Plan): PlanOutline {
  const { pipeline, file } = plan
  return { pipeline, file, steps: plan.steps, finally: plan.finally.map((step) => step.id) }
}

/** What of it is queued, as its environments were recorded last. */
export function waitsOf(runId: string, states: readonly EnvironmentState[]): RunDetail['waits'] {
  return states.flatMap(({ name, queue, held }) =>
    queue
      .filter((request) => request.runId === runId)
      .map(({ step }) => ({ step, environment: name, ...(held === undefined ? {} : { for: held.reason }) })),
  )
}

/** What the run waits for by its newest event, if that is not one of `waits`. */
export function waitingOf(event: StoredRunEvent | undefined, waits: RunDetail['waits']): Pick<RunDetail, 'waiting'> {
  if (event?.body.type !== 'waiting') return {}
  const { for: what } = event.body
  if (waits.some(({ environment, for: why }) => what === `${environment} (${why ?? ''})`)) return {}
  return { waiting: { for: what, since: event.at } }
}

/** The run of that id, or of that number within the project. Throws `not_found`. */
export async function loadRun(store: Store, ref: { id: string; project?: string | undefined }): Promise<Run> {
  const isNumber = /^\d+$/.test(ref.id)
  if (isNumber && ref.project === undefined) {
    throw new BelayError({ code: 'invalid_input', message: 'a run number counts within a project', hint: 'Add `?project=NAME`.' })
  }
  const run = isNumber ? await store.runs.findByNumber(ref.project ?? '', Number(ref.id)) : await store.runs.find(ref.id)
  if (run !== undefined && (ref.project === undefined || run.project === ref.project)) return run
  throw new BelayError({
    code: 'not_found',
    message: `there is no run ${ref.id}${ref.project === undefined ? '' : ` of ${ref.project}`}`,
  })
}
