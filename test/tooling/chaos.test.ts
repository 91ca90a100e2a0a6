import { describe, expect, it } from 'vitest'
import { parseOptions } from '../chaos/options.ts'
import { faultFamilies, makeSchedule, personFamilies, type Planned } from '../chaos/schedule.ts'

const minutes20 = 20 * 60_000

function schedule(args: string[], length = minutes20): Planned[] {
  const { seed, chosen } = parseOptions(args)
  return makeSchedule({ seed, length, chosen })
}

const familiesIn = (planned: Planned[]) => [...new Set(planned.flatMap((one) => (one.do === 'fault' ? one.fault.family : [])))]

describe('the schedule of a chaos run', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(schedule(['--seed', '7'])).toEqual(schedule(['--seed', '7']))
    expect(schedule(['--seed', '7'])).not.toEqual(schedule(['--seed', '8']))
  })

  it('has in twenty minutes what the proof needs', () => {
    const planned = schedule([])
    const count = (what: Planned['do']) => planned.filter((one) => one.do === what).length
    expect(count('push')).toBeGreaterThan(200)
    // Not each meets something.
    expect(count('fault')).toBeGreaterThan(220)
    expect(count('cancel')).toBeGreaterThan(34)
    expect(count('rollback')).toBeGreaterThan(40)
    for (const person of ['retry', 'freeze', 'block'] as const) expect(count(person)).toBeGreaterThan(30)
    expect(familiesIn(planned).toSorted()).toEqual([...faultFamilies].toSorted())
  })

  it('is in the order of time and within its length', () => {
    const times = schedule([]).map(({ at }) => at)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(Math.max(...times)).toBeLessThan(minutes20)
  })

  it('has the same pushes whatever faults are chosen', () => {
    const pushes = (faults: string) => schedule(['--faults', faults]).filter((one) => one.do === 'push')
    expect(pushes('none')).toEqual(pushes('all'))
    expect(schedule(['--faults', 'none'])).toEqual(pushes('none'))
  })

  it('has no person but the chosen ones', () => {
    const persons = schedule(['--faults', 'retry,block']).filter((one) => one.do !== 'push')
    expect([...new Set(persons.map((one) => one.do))].toSorted()).toEqual(['block', 'retry'])
    expect(personFamilies).toContain('freeze')
  })

  it('has no other faults than the chosen ones', () => {
    expect(familiesIn(schedule(['--faults', 'kill,wire:git'])).toSorted()).toEqual(['kill', 'wire'])
    const others = faultFamilies.filter((family) => !['terminate', 'point'].includes(family))
    expect(familiesIn(schedule(['--faults', 'all,-terminate,-point'])).toSorted()).toEqual([...others].toSorted())
    const stopped = schedule(['--faults', 'stop:temporal']).flatMap((one) => (one.do === 'fault' ? [one.fault] : []))
    expect(stopped.length).toBeGreaterThan(0)
    expect(stopped.every((fault) => fault.family === 'stop' && fault.part === 'temporal')).toBe(true)
  })
})

it.each([
  [['--faults', 'earthquake'], 'there is no fault earthquake'],
  [['--seed', 'x'], '--seed is a whole number'],
  [['--minutes', '0'], '--minutes is more than 0'],
])('refuses %s', (args, message) => {
  expect(() => parseOptions(args)).toThrow(message)
})
