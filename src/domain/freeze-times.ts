/**
 * When a freeze window is on. Recurring ones are reckoned on the wall clock of their time zone, where a day has 24 hours
 * and every match of the cron expression is there once; only their ends are turned into instants. An hour that comes twice
 * is frozen both times, and what would begin or end in one that is left out does so when the clock jumps.
 */
import { Cron } from 'croner'
import { BelayError, messageOf } from './errors.ts'
import type { Freeze, FreezeTimes, Held } from './freeze.ts'

type Recurring = Extract<FreezeTimes, { type: 'recurring' }>

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** What has no end within this much is taken for endless. */
const mergeLimit = { matches: 10_000, ms: 400 * dayMs }

/** Is anything frozen at that time, why, and until when? Windows that overlap or adjoin are one. */
export function findFreeze(freezes: readonly Freeze[], at: number): (Held & { freeze: Freeze }) | undefined {
  let until = at
  let freeze: Freeze | undefined
  for (const _ of freezes) {
    const [longest] = freezes
      .map((candidate) => ({ candidate, end: frozenUntil(candidate.times, until) ?? 0 }))
      .toSorted((a, b) => b.end - a.end)
    if (longest === undefined || longest.end <= until) break
    until = longest.end
    freeze ??= longest.candidate
  }
  if (freeze === undefined) return undefined
  return { freeze, until, reason: `frozen until ${formatInstant(until, freeze.times.timeZone)} (${describe(freeze)})` }
}

/** The window's next beginning or end after that time; undefined: it is over. */
export function nextSpan(times: FreezeTimes, at: number): { from: number; until: number } | undefined {
  if (times.type === 'once') return at < times.until ? { from: times.from, until: times.until } : undefined
  return spansFrom(times, at).find(({ until }) => at < until)
}

/** Throws `invalid_input` for what is no window, never comes or never ends. */
export function checkTimes(times: FreezeTimes, now: number): void {
  zoneOffset(now, times.timeZone)
  if (times.type === 'once') {
    if (times.until > times.from && times.until > now) return
    throw invalid('the freeze would end before it begins, or has ended already', 'Say `until` later than `from` and than now.')
  }
  const [span] = spansFrom(times, now)
  if (span === undefined) throw invalid(`"${times.cron}" never comes`, 'Fields: minute, hour, day of month, month, day of week.')
  if (span.until - span.from < mergeLimit.ms && !span.cut) return
  throw invalid(
    `a freeze at "${times.cron}" for ${String(times.forMs / 60_000)} min never ends: the next one begins before`,
    'Make it shorter, or a single one without `cron`.',
  )
}

/** `2026-12-24T18:00` on the clock of that time zone, or with an offset of its own. Where the clock leaves it open, `edge` decides. */
export function parseInstant(text: string, edge: 'from' | 'until', timeZone: string | undefined): number {
  const [, date = '', time = '', offset] = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  const wall = Date.parse(`${date}T${time}Z`)
  if (Number.isNaN(wall))
    throw invalid(`${JSON.stringify(text)} is no time`, 'Write it like 2026-12-24T18:00 or 2026-12-24T18:00Z.')
  if (offset !== undefined) return Date.parse(`${date}T${time}${offset}`)
  if (timeZone === undefined)
    throw invalid(
      `${JSON.stringify(text)} is a time of which time zone?`,
      'Name it, like Europe/Berlin, or write Z or an offset.',
    )
  return edge === 'from' ? earliest(wall, timeZone) : latest(wall, timeZone)
}

/** `2026-11-30 08:00 CET` */
export function formatInstant(at: number, timeZone: string): string {
  const wall = new Date(wallOf(at, timeZone)).toISOString()
  const zone = new Intl.DateTimeFormat('en-GB', { timeZone, timeZoneName: 'short' })
    .formatToParts(at)
    .find(({ type }) => type === 'timeZoneName')?.value
  return `${wall.slice(0, 10)} ${wall.slice(11, 16)} ${zone ?? timeZone}`
}

function describe({ id, actor, reason }: Freeze): string {
  return `${id} by ${actor.name}${reason === undefined ? '' : `: ${reason}`}`
}

function frozenUntil(times: FreezeTimes, at: number): number | undefined {
  const span = nextSpan(times, at)
  return span !== undefined && span.from <= at ? span.until : undefined
}

interface Span {
  from: number
  until: number
  /** There is more of it. */
  cut: boolean
}

/** The spans around and after that time, two days of them and at least one, those that overlap or adjoin merged into one. */
function spansFrom({ cron, forMs, timeZone }: Recurring, at: number): Span[] {
  const matches = parseCron(cron)
  const now = wallOf(at, timeZone)
  const spans: { start: number; end: number; cut: boolean }[] = []
  let match = matches.nextRun(new Date(now - forMs - dayMs))
  for (let count = 0; match !== null; count += 1) {
    const start = match.getTime()
    const last = spans.at(-1)
    const merges = last !== undefined && start <= last.end
    if (last !== undefined && !merges && start > now + dayMs && last.end > now) break
    if (merges) last.end = start + forMs
    else spans.push({ start, end: start + forMs, cut: false })
    const newest = spans.at(-1)
    if (newest !== undefined && (count >= mergeLimit.matches || newest.end - newest.start >= mergeLimit.ms)) {
      newest.cut = true
      break
    }
    match = matches.nextRun(match)
  }
  return spans.map(({ start, end, cut }) => ({ from: earliest(start, timeZone), until: latest(end, timeZone), cut }))
}

function parseCron(cron: string): Cron {
  try {
    return new Cron(cron, { timezone: 'UTC', mode: '5-part', paused: true })
  } catch (error) {
    throw invalid(
      `"${cron}" is no cron expression: ${messageOf(error)}`,
      'Fields: minute, hour, day of month, month, day of week.',
    )
  }
}

/** What the clock of the zone shows, as if it were UTC. */
function wallOf(at: number, timeZone: string): number {
  return at + zoneOffset(at, timeZone)
}

const formats = new Map<string, Intl.DateTimeFormat>()

function zoneOffset(at: number, timeZone: string): number {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = formatOf(timeZone)
    formats.set(timeZone, format)
  }
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const numeric = 'numeric'
  try {
    return new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, hourCycle: 'h23', year: numeric, month: numeric, day: numeric },
      ...{ hour: numeric, minute: numeric, second: numeric },
    })
  } catch {
    throw invalid(
      `there is no time zone ${JSON.stringify(timeZone)}`,
      'Use a name of the IANA database, like Europe/Berlin or UTC.',
    )
  }
}

function earliest(wall: number, timeZone: string): number {
  return instantsOf(wall, timeZone)[0] ?? jumpBefore(wall, timeZone)
}

function latest(wall: number, timeZone: string): number {
  return instantsOf(wall, timeZone).at(-1) ?? jumpBefore(wall, timeZone)
}

/** When the clock shows that: once, twice, or never. */
function instantsOf(wall: number, timeZone: string): number[] {
  const offsets = [wall - dayMs, wall + dayMs].map((near) => zoneOffset(near, timeZone))
  const found = offsets.map((offset) => wall - offset).filter((at) => wallOf(at, timeZone) === wall)
  return [...new Set(found)].toSorted((a, b) => a - b)
}

/** The first instant at which the clock shows something later than what it leaves out. */
function jumpBefore(wall: number, timeZone: string): number {
  let [before, after] = [wall - dayMs, wall + dayMs]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (wallOf(middle, timeZone) < wall) before = middle
    else after = middle
  }
  return after
}

function invalid(message: string, hint: string): BelayError {
  return new BelayError({ code: 'invalid_input', message, hint })
}
