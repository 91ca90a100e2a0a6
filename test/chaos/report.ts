/** What a chaos run comes to, as tables for people. */
import type { Deployment } from '../../src/domain/environment.ts'
import { groupBy } from './collections.ts'
import type { Fault, Ledger, Verdict } from './evidence.ts'
import type { Planned } from './schedule.ts'

type Row = readonly string[]

export interface ReportInput {
  ledger: Ledger
  verdict: Verdict
  /** All that the world remembers. */
  deployments: readonly Pick<Deployment, 'kind' | 'status' | 'undoneAt'>[]
  schedule: readonly Planned[]
  /** What met nothing, was refused or was not possible here, with how often. */
  idle: ReadonlyMap<string, number>
  /** What was still under way when the time for healing was up. */
  unfinished: readonly string[]
  /** From the end of the faults until nothing was under way. */
  healedWithinMs: number
}

export function renderReport(input: ReportInput): string {
  const { ledger, verdict, unfinished } = input
  const { violations, looked } = verdict
  const sections = [
    table(['chaos run', ''], aboutRun(input)),
    table(['planned', 'count'], plannedRows(input.schedule)),
    table(['fault', 'count', 'recovery, median', 'max', 'none seen', 'not mended'], faultRows(ledger.faults)),
    table(['asked for by a person', 'count'], requestRows(ledger)),
    table(['run', 'count'], countRows(verdict, 'runs')),
    table(['deployment', 'count'], countRows(verdict, 'deployments')),
    table(['effect', 'count'], countRows(verdict, 'effects')),
    table(['met nothing, or refused', 'count'], countsInOrder(input.idle)),
    table(['looked at', 'count'], countsInOrder(Object.entries(looked))),
    unfinished.length === 0
      ? ''
      : `still under way: ${String(unfinished.length)}\n${unfinished.map((line) => `  ${line}\n`).join('')}`,
    violations.length === 0 ? 'no violation\n' : `violations: ${String(violations.length)}\n${violations.map(tell).join('')}`,
  ]
  return sections.filter((section) => section !== '').join('\n')
}

function tell({ invariant, about, facts }: Verdict['violations'][number]): string {
  return `  ${invariant} ${about}\n     ${facts.replaceAll('\n', '\n     ')}\n`
}

function aboutRun({ ledger, verdict, deployments, healedWithinMs }: ReportInput): string[][] {
  const { seed, commit, startedAt, healedAt, posts, requests, faults } = ledger
  const answered = posts.filter(({ status }) => status === 200 || status === 202).length
  const takenBack = deployments.filter(
    ({ kind, undoneAt, status }) => kind !== 'rollback' && undoneAt !== undefined && status !== 'undo_failed',
  )
  const byPerson = deployments.filter(({ kind, status }) => kind === 'rollback' && status === 'deployed')
  return [
    ['seed', String(seed)],
    ['commit', commit],
    ['under faults', healedAt === undefined ? 'never healed' : seconds(healedAt - startedAt)],
    ['from the healing to rest', seconds(healedWithinMs)],
    ['posts', `${String(posts.length)}, ${String(answered)} answered`],
    ['deliveries', String(verdict.counts['deliveries in all'] ?? 0)],
    ['faults', String(faults.length)],
    ['releases taken back', String(takenBack.length)],
    ['rollbacks by a person', String(byPerson.length)],
    ['cancels accepted', String(requests.filter(({ kind }) => kind === 'cancel').length)],
  ]
}

function plannedRows(schedule: readonly Planned[]): Row[] {
  const kinds = groupBy(schedule, (one) => (one.do === 'fault' ? `fault ${one.fault.family}` : one.do))
  return inOrder([...kinds].map(([kind, all]) => [kind, String(all.length)] as const))
}

/** What was accepted, and what was never answered. */
function requestRows({ requests, unanswered }: Ledger): Row[] {
  const accepted = requests.map(({ kind }) => kind)
  const open = unanswered.map(({ kind }) => `${kind}, without an answer`)
  return countsInOrder([...groupBy([...accepted, ...open], (name) => name)].map(([name, all]) => [name, all.length] as const))
}

/** From the mending until a run or an environment was next seen to move; `not mended`: it was broken still when it was looked at last. */
function faultRows(faults: readonly Fault[]): string[][] {
  return inOrder([...groupBy(faults, ({ name }) => name)]).map(([name, group]) => {
    const times = group.flatMap(recoveryOf).toSorted((a, b) => a - b)
    const broken = group.filter(({ healedAt }) => healedAt === undefined).length
    const unseen = group.length - times.length - broken
    return [name, String(group.length), seconds(median(times)), seconds(times.at(-1)), String(unseen), String(broken)]
  })
}

function recoveryOf({ healedAt, progressAt }: Fault): number[] {
  return healedAt === undefined || progressAt === undefined ? [] : [progressAt - healedAt]
}

/** Of an even number the lower one: a time that was measured. */
function median(times: readonly number[]): number | undefined {
  return times[Math.floor((times.length - 1) / 2)]
}

function countRows({ counts }: Verdict, kind: string): Row[] {
  const ofKind = Object.entries(counts).filter(([name]) => name.startsWith(`${kind} `))
  return countsInOrder(ofKind.map(([name, count]) => [name.slice(kind.length + 1), count] as const))
}

function countsInOrder(counts: Iterable<readonly [string, number]>): Row[] {
  return inOrder([...counts].map(([name, count]) => [name, String(count)] as const))
}

function inOrder<T extends readonly [string, unknown]>(entries: readonly T[]): T[] {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${(ms / 1_000).toFixed(1)} s`
}

/** The first column to the left, the others to the right; without rows nothing. */
function table(head: Row, rows: readonly Row[]): string {
  if (rows.length === 0) return ''
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}
