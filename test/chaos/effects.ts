/** What steps did outside of Belay, by their own word: `<notes>/effects`. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `finally`: a step of `finally` ran. `wrong`: an artifact was not what an earlier step had made of it. `missing`: what lay in the
 * workspace when its checkpoint was made was not there any more.
 */
export const effectKinds = ['begin', 'end', 'undo', 'finally', 'wrong', 'missing'] as const

export interface Effect {
  kind: (typeof effectKinds)[number]
  runId: string
  step: string
  attempt: number
  /** ms since 1970, by the step's own clock. */
  at?: number
}

export interface Effects {
  /** In the order in which they were written. */
  lines: Effect[]
  /** What is no such line. */
  strange: string[]
}

/** The shell command that notes one. A short append to one file: the kernel keeps it whole. Without a single quote. */
export function noteEffect(kind: Effect['kind'], notes: string): string {
  return `echo "${kind} $BELAY_RUN_ID $BELAY_STEP $BELAY_ATTEMPT $(date +%s%3N)" >> ${notes}/effects`
}

export function readEffects(notes: string): Effects {
  const file = join(notes, 'effects')
  const lines = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : []
  const parsed = lines.map((line) => ({ line, effect: parseEffect(line) }))
  return {
    lines: parsed.flatMap(({ effect }) => effect ?? []),
    strange: parsed.flatMap(({ line, effect }) => (effect === undefined ? [line] : [])),
  }
}

function parseEffect(line: string): Effect | undefined {
  const [, word, runId, step, attempt, at] = /^([a-z]+) ([0-9a-f-]{36}) (\w+) (\d+)(?: (\d+))?$/.exec(line) ?? []
  const kind = effectKinds.find((known) => known === word)
  if (kind === undefined || runId === undefined || step === undefined) return undefined
  return { kind, runId, step, attempt: Number(attempt), ...(at === undefined ? {} : { at: Number(at) }) }
}
