/** What steps did outside of Belay, by their own word: `<notes>/effects`. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Effect {
  kind: 'begin' | 'end' | 'undo'
  runId: string
  step: string
  attempt: number
}

export interface Effects {
  /** In the order in which they were written. */
  lines: Effect[]
  /** What is no such line. */
  strange: string[]
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
  const [, kind, runId, step, attempt] = /^(begin|end|undo) ([0-9a-f-]{36}) (\w+) (\d+)$/.exec(line) ?? []
  if (kind === undefined || runId === undefined || step === undefined) return undefined
  return { kind: kind as Effect['kind'], runId, step, attempt: Number(attempt) }
}
