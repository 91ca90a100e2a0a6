import type { LoadResume, Resumed } from '../contract/activities.ts'
import type { Resume } from '../contract/run-workflow.ts'
import { BelayError } from '../domain/errors.ts'
import { latestOutcomes } from '../domain/outcome.ts'
import { resumeOutcomes, type Gone, type ResumeInput } from '../domain/resume-run.ts'
import { isEndedStep, type Outcome } from '../domain/step.ts'
import type { StepRow, Store } from '../store/store.ts'

/** Reads what the rounds before came to and what of it is still there, and says what is done again. */
export async function loadResume(store: Store, { runId, resume }: LoadResume): Promise<Resumed> {
  const { runs } = store
  const run = await runs.find(runId)
  if (run === undefined) throw new BelayError({ code: 'not_found', message: `there is no run ${runId}` })
  const { planDigest, undo } = run
  const plan = planDigest === undefined ? undefined : await runs.findPlan(planDigest)
  if (plan === undefined || planDigest === undefined) return { outcomes: [] }
  const rows = await runs.steps(runId)
  return { plan, planDigest, outcomes: await resumeRows(store, { plan, rows, undo, resume }) }
}

export interface ResumeRows extends Pick<ResumeInput, 'plan' | 'undo'> {
  /** Of the rounds before. */
  rows: readonly StepRow[]
  resume: Resume
}

export async function resumeRows(
  store: Pick<Store, 'blobs' | 'releases'>,
  { plan, rows, undo, resume }: ResumeRows,
): Promise<Outcome[]> {
  const planned = new Set(plan.steps.map(({ id }) => id))
  const outcomes = rows.filter(({ step }) => planned.has(step)).map(outcomeOf)
  const gone = await findGone(store, outcomes)
  return resumeOutcomes({ plan, outcomes, undo, from: resume.from, gone, epoch: resume.epoch + 1, now: Date.now() })
}

/** One that never came to an end was cut, and is done again. */
function outcomeOf({ runId: _runId, tail: _tail, status, endedAt = Date.now(), ...row }: StepRow): Outcome {
  return { ...row, endedAt, status: isEndedStep(status) ? status : 'errored' }
}

/** What was cleaned up since, of what the newest attempts left. The rest stays from here on, as that of every open run does. */
async function findGone({ blobs, releases }: Pick<Store, 'blobs' | 'releases'>, outcomes: readonly Outcome[]): Promise<Gone> {
  const left = [...latestOutcomes(outcomes).values()].flatMap(({ result }) => result ?? [])
  const digests = new Set(
    left
      .flatMap(({ artifacts = [], checkpoint }) => [...artifacts, ...(checkpoint === undefined ? [] : [checkpoint])])
      .map(digestOf),
  )
  const there = await blobs.touch([...digests])
  const made = left.flatMap(({ release }) => release?.id ?? [])
  const removed = await Promise.all(
    made.map(async (id) => {
      const release = await releases.find(id)
      return release === undefined || release.removedAt !== undefined ? [id] : []
    }),
  )
  return { blobs: new Set([...digests].filter((digest) => !there.has(digest))), releases: new Set(removed.flat()) }
}

function digestOf({ digest }: { digest: string }): string {
  return digest
}
