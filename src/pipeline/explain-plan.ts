import type { Migrate, Plan, PlanStep, Segment } from '../domain/plan.ts'
import { environmentsOf, owesUndo, paceOf } from '../domain/plan.ts'
import { stepsUpTo } from '../domain/settling-points.ts'
import { sortByNeeds } from './graph.ts'

/** What a plan will do, for `belay plan` to print. */
export interface PlanExplanation {
  /** Steps that may start together, wave after wave; skipped ones are not among them. */
  waves: string[][]
  segments: Segment[]
  /**
   * What is taken back if the run ends in one of these ways (`on`), in the order in which it would happen. `until`: not any more once
   * one of these steps has succeeded, which settles it.
   */
  undo: { step: string; does: string; on: readonly string[]; until?: string[] }[]
  /** Steps with `settle`, and whose undo is discharged once they have succeeded. */
  settles: { step: string; discharges: string[] }[]
  skipped: { step: string; reason: string }[]
  /** `implied`: the release that a pipeline's only image is, without a step that says so. */
  releases: { step: string; from: string[]; version?: string; implied: boolean }[]
  /** Where each `deploy` step puts its release. */
  deployments: { step: string; environments: string[]; atOnce: number; migration?: string }[]
  finally: { step: string; on: string; skip?: string }[]
}

/** Approvals will have others. */
const takenBackOn = ['failed', 'errored', 'timed_out', 'cancelled'] as const

export function explainPlan(plan: Plan): PlanExplanation {
  const skipped = findSkipped(plan)
  const alive = sortByNeeds(plan.steps).filter((step) => !skipped.has(step.id))
  const waves = wavesOf(alive)
  const begun = waves.flat().flatMap((id) => alive.filter((step) => step.id === id))
  const owing = begun.filter(owesUndo)
  const points = begun.flatMap(({ id, settle }) => (settle === true ? [{ id, upTo: stepsUpTo(plan, id) }] : []))
  return {
    waves,
    segments: plan.segments,
    undo: owing
      .toReversed()
      .map((step) => ({ step: step.id, does: describeUndo(step), on: takenBackOn, ...untilOf(step.id, points) })),
    settles: points.map(({ id, upTo }) => ({
      step: id,
      discharges: owing.map((step) => step.id).filter((step) => upTo.has(step)),
    })),
    skipped: [...skipped].map(([step, reason]) => ({ step, reason })),
    releases: plan.steps.flatMap((step) => describeRelease(plan, step)),
    deployments: plan.steps.flatMap((step) => (step.kind === 'deploy' ? [describeDeployment(step)] : [])),
    finally: plan.finally.map(({ id, statuses, skip }) => ({
      step: id,
      on: statuses.length === 0 ? 'always' : statuses.join(', '),
      ...(skip === undefined ? {} : { skip }),
    })),
  }
}

interface Point {
  id: string
  upTo: ReadonlySet<string>
}

/** The first that settle the step; those that come after one of them have nothing left to settle. */
function untilOf(step: string, points: readonly Point[]): { until?: string[] } {
  const settling = points.filter(({ upTo }) => upTo.has(step))
  const first = settling.filter(({ id, upTo }) => !settling.some((other) => other.id !== id && upTo.has(other.id)))
  return first.length === 0 ? {} : { until: first.map(({ id }) => id) }
}

/** Left out by their own `when`, or because what they need is. */
function findSkipped(plan: Plan): Map<string, string> {
  const skipped = new Map<string, string>()
  for (const step of sortByNeeds(plan.steps)) {
    const missing = step.needs.find((need) => skipped.has(need))
    if (step.skip !== undefined) skipped.set(step.id, step.skip)
    else if (missing !== undefined) skipped.set(step.id, `needs ${missing}, which is skipped`)
  }
  return skipped
}

function wavesOf(sorted: readonly PlanStep[]): string[][] {
  const waveOf = new Map<string, number>()
  const waves: string[][] = []
  for (const step of sorted) {
    const wave = Math.max(-1, ...step.needs.map((need) => waveOf.get(need) ?? -1)) + 1
    waveOf.set(step.id, wave)
    ;(waves[wave] ??= []).push(step.id)
  }
  return waves
}

function describeUndo(step: PlanStep): string {
  if (step.kind === 'deploy') {
    const gap = step.deploy.strategy === 'recreate' ? '; meanwhile requests are answered 503' : ''
    const names = environmentsOf(step.deploy)
    const [only = ''] = names
    const who = names.length === 1 ? `${only} goes` : `each of ${names.join(', ')} that was touched goes, the last first,`
    const kept = names.length === 1 ? 'the newest kept release' : 'its own newest kept release'
    return `${who} back to ${kept}, verified like a deployment${gap}${describeWayDown(step.deploy.migrate)}`
  }
  if (step.undo === undefined) return 'nothing'
  return `runs ${step.undo.commands.lines.map((line) => `\`${firstLine(line)}\``).join(', ')} (up to ${step.undo.attempts} times)`
}

function describeWayDown(migrate: Migrate | undefined): string {
  if (migrate === undefined) return ''
  if (migrate.down !== undefined) return `; then ${commandLine(migrate.down)} with the image of the release that was taken back`
  return '; but not by itself: its migration cannot be taken down, so the run waits for a person'
}

function commandLine(words: readonly string[]): string {
  return `\`${firstLine(words.join(' '))}\``
}

function describeDeployment({ id, deploy }: Extract<PlanStep, { kind: 'deploy' }>): PlanExplanation['deployments'][number] {
  const environments = environmentsOf(deploy)
  const { up } = deploy.migrate ?? {}
  const migration =
    up === undefined ? {} : { migration: `first ${commandLine(up)} with the new image, while the old release serves` }
  return { step: id, environments, atOnce: paceOf(deploy).atOnce, ...migration }
}

function describeRelease(plan: Plan, step: PlanStep): PlanExplanation['releases'] {
  if (step.kind !== 'release') return []
  const { from, version } = step.release
  const images = plan.steps.filter((other) => other.kind === 'build_image')
  const implied =
    images.length === 1 && from.length === 1 && version === undefined && step.id === `${images[0]?.id ?? ''}_release`
  return [{ step: step.id, from, ...(version === undefined ? {} : { version }), implied }]
}

function firstLine(text: string): string {
  const [line = '', ...more] = text.trim().split('\n')
  return line.length > 80 || more.length > 0 ? `${line.slice(0, 80)}…` : line
}
