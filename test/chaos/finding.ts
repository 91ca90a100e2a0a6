/** What one invariant has to say: what is broken, and how much it has looked at. */
import type { Violation } from './evidence.ts'

export interface Finding {
  violations: Violation[]
  looked: Record<string, number>
}

export interface FindingWriter extends Finding {
  /** Counts things looked at: for the invariant, and for a part of it if one is named. */
  look(part?: string, count?: number): void
  blame(about: string, facts: string): void
}

export function createFinding(invariant: string): FindingWriter {
  const violations: Violation[] = []
  const looked: Record<string, number> = { [invariant]: 0 }
  const add = (key: string, count: number) => {
    looked[key] = (looked[key] ?? 0) + count
  }
  return {
    violations,
    looked,
    look(part, count = 1) {
      add(invariant, count)
      if (part !== undefined) add(`${invariant} ${part}`, count)
    },
    blame: (about, facts) => void violations.push({ invariant, about, facts }),
  }
}
