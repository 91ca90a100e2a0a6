/** What a chaos run comes to, as tables for people. */
import { groupBy } from './collections.ts'
import type { Fault, Ledger, Verdict } from './evidence.ts'

export function renderReport(ledger: Ledger, verdict: Verdict): string {
  const { violations, looked } = verdict
  const sections = [
    table(['chaos run', ''], aboutRun(ledger)),
    table(['fault', 'count', 'recovery, median', 'max', 'none seen'], faultRows(ledger.faults)),
    table(['run ended', 'count'], countRows(verdict, 'runs')),
    table(['deployment', 'count'], countRows(verdict, 'deployments')),
    table(['effect', 'count'], countRows(verdict, 'effects')),
    table(['looked at', 'count'], inOrder(Object.entries(looked))),
    violations.length === 0 ? 'no violation\n' : `violations: ${String(violations.length)}\n${violations.map(tell).join('')}`,
  ]
  return sections.filter((section) => section !== '').join('\n')
}

function tell({ invariant, about, facts }: Verdict['violations'][number]): string {
  return `  ${invariant} ${about}\n     ${facts.replaceAll('\n', '\n     ')}\n`
}

function aboutRun({ seed, commit, startedAt, healedAt, posts, requests, faults }: Ledger): string[][] {
  const answered = posts.filter(({ status }) => status === 200 || status === 202).length
  return [
    ['seed', String(seed)],
    ['commit', commit],
    ['under faults', healedAt === undefined ? 'never healed' : seconds(healedAt - startedAt)],
    ['posts', `${String(posts.length)}, ${String(answered)} answered`],
    ['requests of people', String(requests.length)],
    ['faults', String(faults.length)],
  ]
}

/** From the mending until a run or an environment was next seen to move; none of what was never mended. */
function faultRows(faults: readonly Fault[]): string[][] {
  return inOrder([...groupBy(faults, ({ name }) => name)].map(([name, group]) => [name, group] as const)).map(([name, group]) => {
    const times = group.flatMap(recoveryOf).toSorted((a, b) => a - b)
    const unseen = group.length - times.length
    return [name, String(group.length), seconds(median(times)), seconds(times.at(-1)), String(unseen)]
  })
}

function recoveryOf({ healedAt, progressAt }: Fault): number[] {
  return healedAt === undefined || progressAt === undefined ? [] : [progressAt - healedAt]
}

/** Of an even number the lower one: a time that was measured. */
function median(times: readonly number[]): number | undefined {
  return times[Math.floor((times.length - 1) / 2)]
}

function countRows({ counts }: Verdict, kind: string): string[][] {
  const rows = inOrder(Object.entries(counts).filter(([name]) => name.startsWith(`${kind} `)))
  return rows.map(([name, count]) => [name.slice(kind.length + 1), String(count)])
}

function inOrder<T>(entries: (readonly [string, T])[]): (readonly [string, T])[] {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${(ms / 1_000).toFixed(1)} s`
}

/** The first column to the left, the others to the right; without rows nothing. */
function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  if (rows.length === 0) return ''
  const all = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}
