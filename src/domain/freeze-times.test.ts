import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Freeze, FreezeTimes } from './freeze.ts'
import { checkTimes, findFreeze, formatInstant, nextSpan, parseInstant } from './freeze-times.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

function recurring(cron: string, forMs: number, timeZone = 'Europe/Berlin'): FreezeTimes {
  return { type: 'recurring', cron, forMs, timeZone }
}

function freeze(times: FreezeTimes, id = 'f-1', reason?: string): Freeze {
  return { id, times, actor: { id: 'token:ana', name: 'ana' }, at: 0, ...(reason === undefined ? {} : { reason }) }
}

const utc = (text: string): number => Date.parse(`${text}Z`)
const iso = (at: number | undefined): string => (at === undefined ? 'never' : new Date(at).toISOString().slice(0, 16))

describe('a weekend, from Friday 18:00 for 62 hours in Berlin,', () => {
  const weekend = recurring('0 18 * * 5', 62 * hourMs)

  it.each([
    ['in winter', '2026-11-27T12:00', '2026-11-27T17:00', '2026-11-30T07:00'],
    ['in summer', '2026-07-03T12:00', '2026-07-03T16:00', '2026-07-06T06:00'],
    ['when the clocks go forward', '2026-03-27T12:00', '2026-03-27T17:00', '2026-03-30T06:00'],
    ['when the clocks go back', '2026-10-23T12:00', '2026-10-23T16:00', '2026-10-26T07:00'],
  ])('%s ends on Monday at 8:00 on the clock there', (_, before, from, until) => {
    const span = nextSpan(weekend, utc(before))
    expect([iso(span?.from), iso(span?.until)]).toEqual([from, until])
    expect(findFreeze([freeze(weekend)], utc(from) - 1)).toBeUndefined()
    expect(findFreeze([freeze(weekend)], utc(from))?.until).toBe(utc(until))
    expect(findFreeze([freeze(weekend)], utc(until) - 1)?.until).toBe(utc(until))
    expect(findFreeze([freeze(weekend)], utc(until))).toBeUndefined()
    expect(formatInstant(utc(until), 'Europe/Berlin')).toContain(' 08:00 ')
  })
})

describe('an hour that the clock', () => {
  it.each([
    ['shows twice is frozen both times', '0 2 * * *', 1, '2026-10-24T12:00', '2026-10-25T00:00', '2026-10-25T02:00'],
    ['shows twice at the end: till the second', '0 1 * * *', 1.5, '2026-10-24T12:00', '2026-10-24T23:00', '2026-10-25T01:30'],
    ['leaves out at the beginning: from the jump', '30 2 * * *', 2, '2026-03-28T12:00', '2026-03-29T01:00', '2026-03-29T02:30'],
    ['leaves out at the end: to the jump', '30 1 * * *', 1, '2026-03-28T12:00', '2026-03-29T00:30', '2026-03-29T01:00'],
  ])('%s', (_, cron, hours, at, from, until) => {
    const span = nextSpan(recurring(cron, hours * hourMs), utc(at))
    expect([iso(span?.from), iso(span?.until)]).toEqual([from, until])
  })

  it('leaves out wholly is not frozen: there is no such time', () => {
    const times = recurring('10 2 * * *', 20 * minuteMs)
    for (let at = utc('2026-03-29T00:00'); at < utc('2026-03-29T04:00'); at += minuteMs)
      expect(findFreeze([freeze(times)], at)).toBeUndefined()
  })
})

/** What clocks show, minute by minute, around the switches of some zones. */
const places = [
  ['Europe/Berlin', '2026-03-26T00:00'],
  ['Europe/Berlin', '2026-10-22T00:00'],
  ['America/New_York', '2026-03-05T00:00'],
  ['America/New_York', '2026-10-29T00:00'],
  ['Australia/Lord_Howe', '2026-04-02T00:00'],
  ['Australia/Lord_Howe', '2026-10-01T00:00'],
  ['Africa/Casablanca', '2026-02-12T00:00'],
  ['UTC', '2026-10-22T00:00'],
] as const
const tableDays = 7

function clockTable(timeZone: string, from: string): { at: number; wall: number }[] {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
  return Array.from({ length: tableDays * 24 * 60 }, (_, index) => {
    const at = utc(from) + index * minuteMs
    return { at, wall: Date.parse(`${format.format(at).replace(' ', 'T')}Z`) }
  })
}

const tables = places.map(([timeZone, from]) => ({ timeZone, table: clockTable(timeZone, from) }))

describe('for any window, at any minute around a switch of the clocks,', () => {
  const windows = fc.record({
    place: fc.constantFrom(...tables),
    minute: fc.integer({ min: 0, max: 59 }),
    hour: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 23 })),
    forMinutes: fc.oneof(fc.integer({ min: 1, max: 180 }), fc.integer({ min: 1, max: 30 * 60 })),
    // The middle of the table, so that what begins and ends is in it.
    offset: fc.integer({ min: 2 * 24 * 60, max: 4 * 24 * 60 }),
    weekday: fc.integer({ min: 0, max: 6 }),
  })

  it('is frozen just between the first minute that shows the beginning and the last before the end is shown', () => {
    fc.assert(
      fc.property(windows, ({ place, minute, hour, forMinutes, offset, weekday }) => {
        const { table, timeZone } = place
        const { at } = table[offset] ?? { at: 0 }
        const starts = table
          .map(({ wall }) => Math.floor(wall / dayMs) * dayMs)
          .filter((day, index, days) => days.indexOf(day) === index && new Date(day).getUTCDay() === weekday)
          .map((day) => day + hour * hourMs + minute * minuteMs)
        const first = (wall: number) => table.find((row) => row.wall >= wall)?.at ?? Infinity
        const last = (wall: number) => (table.findLast((row) => row.wall < wall)?.at ?? -Infinity) + minuteMs
        const endOf = (wall: number) => {
          const shown = table.findLast((row) => row.wall === wall)?.at
          return shown ?? last(wall)
        }
        const spans = starts.map((start) => ({ from: first(start), until: endOf(start + forMinutes * minuteMs) }))
        const expected = spans.find(({ from, until }) => from <= at && at < until)?.until
        const times = recurring(`${String(minute)} ${String(hour)} * * ${String(weekday)}`, forMinutes * minuteMs, timeZone)
        expect(findFreeze([freeze(times)], at)?.until).toBe(expected)
      }),
      { numRuns: 150 },
    )
  })
})

describe('several windows', () => {
  const once = (from: string, until: string): FreezeTimes => ({
    ...{ type: 'once', from: utc(from), until: utc(until), timeZone: 'UTC' },
  })

  it('that overlap or adjoin are one; what is told is the one that lasts longest now', () => {
    const freezes = [
      freeze(once('2026-01-01T00:00', '2026-01-01T02:00'), 'short'),
      freeze(once('2026-01-01T00:00', '2026-01-01T04:00'), 'long', 'the party'),
      freeze(once('2026-01-01T04:00', '2026-01-01T05:00'), 'after'),
      freeze(once('2026-01-01T06:00', '2026-01-01T07:00'), 'later'),
    ]
    const found = findFreeze(freezes, utc('2026-01-01T01:00'))
    expect(found).toMatchObject({
      until: utc('2026-01-01T05:00'),
      reason: 'frozen until 2026-01-01 05:00 UTC (long by ana: the party)',
    })
    expect(findFreeze(freezes, utc('2026-01-01T05:00'))).toBeUndefined()
    expect(findFreeze([], utc('2026-01-01T01:00'))).toBeUndefined()
  })
})

describe('refused, with what to do:', () => {
  const now = utc('2026-11-26T10:00')
  it.each([
    ['what is no cron expression', recurring('at noon', hourMs), '"at noon" is no cron expression'],
    ['seconds', recurring('0 0 18 * * 5', hourMs), 'is no cron expression'],
    ['a day that never comes', recurring('0 0 31 2 *', hourMs), 'never comes'],
    ['every minute for a minute', recurring('* * * * *', minuteMs), 'never ends'],
    ['every day for a day', recurring('0 0 * * *', dayMs), 'never ends'],
    ['a time zone that is not there', recurring('0 18 * * 5', hourMs, 'Mars/Olympus'), 'there is no time zone "Mars/Olympus"'],
    [
      'an end before the beginning',
      { type: 'once' as const, from: now + 2, until: now + 1, timeZone: 'UTC' },
      'would end before',
    ],
    ['an end that has been', { type: 'once' as const, from: 0, until: now - 1, timeZone: 'UTC' }, 'has ended already'],
  ])('%s', (_, times, message) => {
    expect(() => {
      checkTimes(times, now)
    }).toThrow(
      expect.objectContaining({ code: 'invalid_input', message: expect.stringContaining(message), hint: expect.any(String) }),
    )
  })

  it('and what ends each time is taken', () => {
    for (const times of [
      recurring('0 18 * * 5', 62 * hourMs),
      recurring('0 * * * *', 59 * minuteMs),
      recurring('0 0 1 1 *', dayMs),
    ])
      expect(() => {
        checkTimes(times, now)
      }).not.toThrow()
  })
})

describe('a time', () => {
  it.each([
    ['2026-12-24T18:00', 'from', 'Europe/Berlin', '2026-12-24T17:00'],
    ['2026-12-24 18:00', 'from', 'UTC', '2026-12-24T18:00'],
    ['2026-12-24T18:00Z', 'from', 'Europe/Berlin', '2026-12-24T18:00'],
    ['2026-12-24T18:00-05:00', 'until', undefined, '2026-12-24T23:00'],
    ['2026-10-25T02:30', 'from', 'Europe/Berlin', '2026-10-25T00:30'],
    ['2026-10-25T02:30', 'until', 'Europe/Berlin', '2026-10-25T01:30'],
    ['2026-03-29T02:30', 'from', 'Europe/Berlin', '2026-03-29T01:00'],
  ] as const)('%s (%s) in %s is %s', (text, edge, timeZone, expected) => {
    expect(iso(parseInstant(text, edge, timeZone))).toBe(expected)
  })

  it.each([
    ['tomorrow', 'UTC', 'is no time'],
    ['2026-13-24T18:00', 'UTC', 'is no time'],
    ['2026-12-24T18:00', undefined, 'of which time zone'],
  ])('%s in %s is refused', (text, timeZone, message) => {
    expect(() => parseInstant(text, 'from', timeZone)).toThrow(message)
  })
})
