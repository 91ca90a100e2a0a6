import { latestOutcomes } from './outcome.ts'
import type { Plan } from './plan.ts'
import type { Artifact, Outcome } from './step.ts'

export interface LostWorkspace {
  /** Whose it was. */
  runner: string
  /** Under which the run goes on elsewhere: higher than any under which work was done. */
  epoch: number
  /** Steps whose work the new workspace has, from a checkpoint. */
  kept: readonly string[]
}

/**
 * What a lost workspace makes of the steps that had succeeded: those whose work lay in it are done again, as new attempts.
 * Images, releases and deployments are elsewhere, and what a step with an undo did is still to be taken back: they keep
 * their outcomes. What was done under the new epoch, or later, is not lost.
 */
export function loseOutcomes(plan: Plan, outcomes: readonly Outcome[], lost: LostWorkspace & { now: number }): Outcome[] {
  return [...latestOutcomes(outcomes).values()].flatMap((last) => {
    const step = plan.steps.find(({ id }) => id === last.step)
    const isInside = step?.kind === 'commands' && step.undo === undefined && !lost.kept.includes(step.id)
    if (!isInside || last.status !== 'succeeded' || last.epoch >= lost.epoch) return []
    const reason = `its workspace was lost with runner "${lost.runner}"`
    const { exitCode: _exitCode, ...rest } = last
    return [
      {
        ...rest,
        epoch: lost.epoch,
        status: 'errored' as const,
        endedAt: lost.now,
        retryAt: lost.now,
        reason,
        lost: true as const,
      },
    ]
  })
}

/** Who has seen the artifacts of an attempt that was lost goes on seeing them: what replaces it keeps their digests. */
export function keepFirstArtifacts(known: readonly Outcome[], outcome: Outcome): Outcome {
  const { result } = outcome
  if (result?.artifacts === undefined || outcome.lost === true) return outcome
  const first = new Map<string, Artifact>()
  for (const { step, lost, result: earlier } of known) {
    if (step !== outcome.step || lost !== true) continue
    for (const artifact of earlier?.artifacts ?? []) if (!first.has(artifact.path)) first.set(artifact.path, artifact)
  }
  if (first.size === 0) return outcome
  return {
    ...outcome,
    result: { ...result, artifacts: result.artifacts.map((artifact) => first.get(artifact.path) ?? artifact) },
  }
}
