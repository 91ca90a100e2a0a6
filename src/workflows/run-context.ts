import type { RunInput } from '../contract/run-workflow.ts'
import { keepFirstArtifacts, loseOutcomes, type LostWorkspace } from '../domain/lost-workspace.ts'
import { isFinal, latestOutcomes, mergeOutcomes } from '../domain/outcome.ts'
import type { Plan } from '../domain/plan.ts'
import type { Outcome } from '../domain/step.ts'
import type { Answers } from './answers.ts'
import type { News } from './news.ts'
import type { UndoStack } from './saga.ts'
import { createHoldClock, type HoldClock } from './time-limit.ts'
import type { Workspace } from './workspace.ts'

/** What the parts of a run share. Outcomes are facts: added, never changed. */
export interface RunContext {
  readonly input: RunInput
  readonly plan: Plan
  readonly planDigest: string
  readonly news: News
  readonly workspace: Workspace
  readonly undo: UndoStack
  readonly answers: Answers
  /** Another runner takes over from one that is gone. */
  readonly movesOn: boolean
  /** Deployments that wait for a freeze to end: meanwhile the run's time stands. */
  readonly hold: HoldClock
  readonly outcomes: readonly Outcome[]
  /** So many of the first outcomes are of the rounds before. */
  readonly earlier: number
  /** How often each step was cut short by the death of its runner. */
  readonly interruptions: Record<string, number>
  record(outcomes: readonly Outcome[]): void
  /** What was done in this workspace is done again, also what is only heard of later. */
  lose(workspace: LostWorkspace): void
}

/** `earlier`: outcomes of the rounds before, which people know already. */
export function createRunContext(
  parts: Omit<RunContext, 'outcomes' | 'earlier' | 'interruptions' | 'record' | 'lose' | 'hold'>,
  earlier: readonly Outcome[] = [],
): RunContext {
  let outcomes: Outcome[] = [...earlier]
  let lost: LostWorkspace | undefined
  /** Steps of earlier rounds whose work a checkpoint brings into the workspace. */
  let brought: readonly string[] = []

  function add(added: readonly Outcome[]): void {
    const known = outcomes
    outcomes = mergeOutcomes(
      known,
      added.map((outcome) => keepFirstArtifacts(known, outcome)),
    )
    for (const outcome of outcomes.slice(known.length)) {
      const { retryAt: _retryAt, lost: _lost, ...change } = outcome
      parts.news.tell({ type: 'step', change })
      lay(outcome)
    }
  }

  function lay({ step, retryAt, result }: Outcome): void {
    if (retryAt !== undefined || result === undefined) return
    const { artifacts, checkpoint } = result
    if (artifacts !== undefined) parts.workspace.lay(step, artifacts)
    if (checkpoint !== undefined) parts.workspace.keep(checkpoint)
  }

  /** What stays done of the rounds before; a checkpoint only if nothing in it is done again. */
  function layEarlier(): void {
    const kept = [...latestOutcomes(earlier).values()].filter(isFinal)
    const stays = new Set(kept.map(({ step }) => step))
    for (const outcome of kept) {
      const { checkpoint, ...result } = outcome.result ?? {}
      const isWhole = checkpoint?.steps.every((step) => stays.has(step)) === true
      if (isWhole) brought = checkpoint.steps
      lay({ ...outcome, result: isWhole ? { ...result, checkpoint } : result })
    }
  }

  function addLost(): void {
    if (lost === undefined) return
    const { resume } = parts.input
    // What earlier rounds did was in the workspace only if a checkpoint had brought it.
    const inside = outcomes.filter(({ step, epoch }) => resume === undefined || epoch > resume.epoch || brought.includes(step))
    add(loseOutcomes(parts.plan, inside, { ...lost, now: Date.now() }))
  }

  layEarlier()
  return {
    ...parts,
    get outcomes() {
      return outcomes
    },
    earlier: earlier.length,
    interruptions: {},
    hold: createHoldClock(),
    record(added) {
      add(added)
      addLost()
    },
    lose(workspace) {
      lost = workspace
      addLost()
    },
  }
}
