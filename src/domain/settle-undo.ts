import { z } from 'zod'
import { BelayError } from './errors.ts'
import type { UndoItem } from './run-event.ts'
import type { RunStatus } from './run.ts'
import { Actor } from './trigger.ts'

/** What a person may do with the undo that a run is blocked at: have it tried again, or give it up for good. */
export const UndoAction = z.enum(['retry', 'skip'])
export type UndoAction = z.infer<typeof UndoAction>

/** A person settles a blocked undo. The same id twice is once. */
export const SettleUndo = z.object({
  id: z.string(),
  action: UndoAction,
  /** Whose undo it has to be; absent: whichever is blocked now. */
  step: z.string().optional(),
  actor: Actor,
  /** Whoever skips says why. */
  reason: z.string().max(500).optional(),
})
export type SettleUndo = z.infer<typeof SettleUndo>

/** What happens with it. */
export const SettledUndo = z.object({
  action: UndoAction,
  step: z.string(),
  /** What that undo does, in words. */
  does: z.string(),
  /** Steps whose undos are blocked after this one, in their turn. */
  left: z.array(z.string()),
})
export type SettledUndo = z.infer<typeof SettledUndo>

/** How a run stands, for whoever wants to settle its undo. */
export interface Standing {
  /** Of the run, within its project. */
  number: number
  status: RunStatus
  /** Its blocked undos, the one whose turn it is first. */
  blocked: readonly Pick<UndoItem, 'step' | 'does'>[]
}

/** What settling comes to. Throws `conflict` if no undo is blocked, or another one than is named. */
export function settleUndo({ action, step }: Pick<SettleUndo, 'action' | 'step'>, standing: Standing): SettledUndo {
  const [first, ...others] = standing.status === 'rollback_blocked' ? standing.blocked : []
  const name = `run ${String(standing.number)}`
  if (first === undefined) {
    throw new BelayError({
      code: 'conflict',
      message: `${name} is ${standing.status}: it is not blocked at an undo`,
      hint: `\`belay show ${String(standing.number)}\` says how it stands.`,
    })
  }
  if (step !== undefined && step !== first.step) {
    throw new BelayError({
      code: 'conflict',
      message: `${name} is not blocked at ${JSON.stringify(step)}: what is blocked is the undo of "${first.step}"`,
      hint: `Name "${first.step}", or no step.`,
    })
  }
  return { action, step: first.step, does: first.does, left: others.map((other) => other.step) }
}

/** Who does it, and why, in words for people. */
export function noteOf({ action, actor, reason }: Pick<SettleUndo, 'action' | 'actor' | 'reason'>): string {
  const what = action === 'retry' ? 'tried again' : 'skipped'
  return `${what} by ${actor.name}${reason === undefined ? '' : `: ${reason}`}`
}
