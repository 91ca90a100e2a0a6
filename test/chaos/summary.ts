/** What is printed at the end. */
import type { Ledger, Verdict } from './evidence.ts'
import type { Planned } from './schedule.ts'
import type { Story } from './story.ts'

export interface SummaryInput {
  ledger: Ledger
  verdict: Verdict
  story: Story
  schedule: readonly Planned[]
  /** Faults that met nothing or were impossible. */
  idle: ReadonlyMap<string, number>
  unfinished: readonly string[]
  healedWithinMs: number
}

export function summaryOf(input: SummaryInput): string {
  const { ledger, verdict, story, idle, unfinished } = input
  const rollbacks = countRollbacks(story)
  return [
    `seed ${String(ledger.seed)}, commit ${ledger.commit}, ${seconds(Date.now() - ledger.startedAt)} in all, ${seconds(input.healedWithinMs)} from the healing to rest`,
    '',
    ...table('totals', {
      runs: story.runs.length,
      deliveries: story.deliveries.length,
      posts: ledger.posts.length,
      faults: ledger.faults.length,
      'releases taken back': rollbacks.takenBack,
      'rollbacks by a person': rollbacks.byPerson,
      'cancels accepted': ledger.requests.filter(({ kind }) => kind === 'cancel').length,
      'other requests accepted': ledger.requests.filter(({ kind }) => kind !== 'cancel').length,
    }),
    ...table(
      'runs by end',
      countBy(story.runs, ({ run }) => run.status),
    ),
    ...table(
      'deployments',
      countBy(story.deployments, ({ kind, status }) => `${kind} ${status}`),
    ),
    ...table(
      'effects',
      countBy(story.effects, (line) => line.split(' ')[0] ?? ''),
    ),
    ...table(
      'planned',
      countBy(input.schedule, (one) => (one.do === 'fault' ? `fault ${one.fault.family}` : one.do)),
    ),
    ...recoveryTable(ledger),
    ...table('met nothing, or not possible here', Object.fromEntries(idle)),
    ...table('looked at', verdict.looked),
    ...(unfinished.length === 0 ? [] : ['still under way when the time was up', ...unfinished.map((line) => `  ${line}`), '']),
    `violations: ${String(verdict.violations.length)}`,
    ...verdict.violations.map(({ invariant, about, facts }) => `  ${invariant} ${about}: ${facts}`),
    '',
  ].join('\n')
}

/** A release that was put back by its run or by its own deployment, and what people asked for. */
export function countRollbacks({ deployments }: Story): { takenBack: number; byPerson: number } {
  return {
    takenBack: deployments.filter(
      ({ kind, undoneAt, status }) => kind !== 'rollback' && undoneAt !== undefined && status !== 'undo_failed',
    ).length,
    byPerson: deployments.filter(({ kind, status }) => kind === 'rollback' && status === 'deployed').length,
  }
}

function recoveryTable({ faults }: Ledger): string[] {
  const names = [...new Set(faults.map(({ name }) => name))].toSorted()
  const rows = names.map((name) => {
    const all = faults.filter((fault) => fault.name === name)
    const times = all
      .flatMap(({ healedAt, progressAt }) => (healedAt === undefined || progressAt === undefined ? [] : [progressAt - healedAt]))
      .toSorted((a, b) => a - b)
    const unhealed = all.filter(({ healedAt }) => healedAt === undefined).length
    const [median, most] = [times[Math.floor(times.length / 2)], times.at(-1)]
    const cells = [String(all.length), median === undefined ? '-' : seconds(median), most === undefined ? '-' : seconds(most)]
    return `  ${name.padEnd(44)}${cells.map((cell) => cell.padStart(10)).join('')}${unhealed === 0 ? '' : `  (${String(unhealed)} not mended by itself)`}`
  })
  const head = `  ${'fault'.padEnd(44)}${['count', 'median', 'max'].map((cell) => cell.padStart(10)).join('')}`
  return ['recovery: from the mending to the next that moves', head, ...rows, '']
}

function table(title: string, rows: Readonly<Record<string, number>>): string[] {
  const lines = Object.entries(rows).map(([name, count]) => `  ${name.padEnd(44)}${String(count).padStart(10)}`)
  return lines.length === 0 ? [] : [title, ...lines, '']
}

function countBy<T>(items: readonly T[], nameOf: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of items.map(nameOf).toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
