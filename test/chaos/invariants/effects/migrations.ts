/**
 * Migrations, by what they wrote down themselves: in an environment one at a time, up and down by turns; what was done is done again
 * only where something was cut short.
 */
import { groupBy } from '../../collections.ts'
import type { FindingWriter } from '../../finding.ts'
import { wasCutBetween } from '../../interruptions.ts'
import type { Memory } from '../../memory.ts'
import type { MigrationLine } from '../../schemas.ts'

export function checkMigrations({ schemas, ledger }: Memory, finding: FindingWriter): void {
  for (const line of schemas.strange)
    finding.blame('the notes of migrations', `a line that none writes whole: ${JSON.stringify(line)}`)
  for (const [environment, lines] of groupBy(schemas.lines, (line) => line.environment)) {
    const runs = runsOf(lines)
    finding.look('migrations', runs.length)
    for (const [index, one] of runs.entries()) {
      const about = `environment ${environment}, migration ${one.version}`
      const next = runs[index + 1]
      // One that was cut has no end, and whatever comes after it may begin.
      if (next !== undefined && one.endedAt !== undefined && next.at < one.endedAt)
        finding.blame(about, `${tell(one)} was still going on when ${next.what} of ${next.version} began at ${String(next.at)}`)
      const isCut = wasCutBetween(ledger, one.at, one.endedAt ?? one.at)
      if (one.endedAt === undefined && !isCut) finding.blame(about, `${tell(one)} never ended, and nothing cut it short`)
    }
    for (const [version, ofOne] of groupBy(runs, (run) => run.version)) {
      const about = `environment ${environment}, migration ${version}`
      for (const [index, one] of ofOne.entries()) {
        const before = ofOne[index - 1]
        const isTurn = one.what === (before?.what === 'up' ? 'down' : 'up')
        if (isTurn || wasCutBetween(ledger, before?.at ?? one.at, one.at)) continue
        finding.blame(
          about,
          `${tell(one)} came after ${before === undefined ? 'nothing' : tell(before)}, and nothing was cut short`,
        )
      }
    }
  }
}

interface Ran {
  what: 'up' | 'down'
  version: string
  at: number
  endedAt?: number
}

/** An end is that of the newest one that began and that it is like. */
function runsOf(lines: readonly MigrationLine[]): Ran[] {
  const runs: Ran[] = []
  for (const { what, when, version, at } of lines) {
    if (when === 'begin') runs.push({ what, version, at })
    else {
      const begun = runs.findLast((run) => run.what === what && run.version === version && run.endedAt === undefined)
      if (begun === undefined) runs.push({ what, version, at, endedAt: at })
      else begun.endedAt = at
    }
  }
  return runs
}

function tell({ what, at, endedAt }: Ran): string {
  return `${what} (${String(at)} to ${endedAt === undefined ? '…' : String(endedAt)})`
}
