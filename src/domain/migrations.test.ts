import { describe, expect, it } from 'vitest'
import type { EnvironmentState, Migration, Served } from './environment.ts'
import { emptyEnvironment, noteServed } from './environment-rules.ts'
import {
  findDowns,
  findHindrance,
  findIrreversible,
  findOwn,
  findUps,
  forgetMigrations,
  levelFor,
  noteDown,
  noteUp,
} from './migrations.ts'
import type { ReleaseRef } from './release.ts'

const releaseOf = (number: number): ReleaseRef => ({
  ...{ id: `release ${String(number)}`, project: 'shop', number, version: String(number), sha: 'c'.repeat(40), runId: 'run' },
  image: { repository: 'shop/app', digest: `sha256:${String(number).repeat(64)}` },
})

function migrate(
  state: EnvironmentState,
  number: number,
  more: Partial<Pick<Migration, 'down'>> = { down: ['down'] },
): Migration {
  const on = state.level === undefined ? {} : { on: state.level }
  const migration = { id: `m${String(number)}`, release: releaseOf(number), requestId: `r${String(number)}`, ...on }
  noteUp(state, { ...migration, up: ['up'], timeoutMs: 1, ...more })
  return { ...migration, up: ['up'], timeoutMs: 1, ...more }
}

function serve(state: EnvironmentState, number: number, status: Served['status'] = 'kept', level = state.level): void {
  const at = { deploymentId: `d${String(number)}`, requestId: `r${String(number)}`, at: number }
  noteServed(state, { release: releaseOf(number), status, ...at, ...(level === undefined ? {} : { level }) })
}

/** Releases 1 to 4, of which 2 and 4 came with a migration. */
function grown(): EnvironmentState {
  const state = emptyEnvironment('eu', 1)
  serve(state, 1)
  migrate(state, 2)
  serve(state, 2)
  serve(state, 3)
  migrate(state, 4)
  serve(state, 4)
  return state
}

const names = (migrations: readonly Migration[]): string[] => migrations.map(({ id }) => id)

describe('the way of the data to a release', () => {
  it.each([
    [1, ['m4', 'm2']],
    [2, ['m4']],
    [3, ['m4']],
    [4, []],
  ])('to %i takes down what came since, the newest first', (number, downs) => {
    const state = grown()
    expect(names(findDowns(state, levelFor(state, releaseOf(number))))).toEqual(downs)
    expect(findUps(state, levelFor(state, releaseOf(number)))).toEqual([])
    expect(findHindrance(state, releaseOf(number))).toBeUndefined()
  })

  it('forward again applies what was taken down, the oldest first', () => {
    const state = grown()
    for (const migration of findDowns(state, undefined)) noteDown(state, migration)
    serve(state, 1)
    expect(state.level).toBeUndefined()
    expect(names(findUps(state, levelFor(state, releaseOf(4))))).toEqual(['m2', 'm4'])
    expect(names(findUps(state, levelFor(state, releaseOf(3))))).toEqual(['m2'])
    expect(findHindrance(state, releaseOf(4))).toBeUndefined()
  })

  it('stays where it is for a release that never served here', () => {
    const state = grown()
    expect(levelFor(state, releaseOf(9))).toBe('m4')
    expect(findHindrance(state, releaseOf(9))).toBeUndefined()
  })

  it('is refused over one that cannot be taken down, and says whose it is', () => {
    const state = grown()
    migrate(state, 5, {})
    serve(state, 5)
    migrate(state, 6)
    serve(state, 6)
    expect(findIrreversible(state, 'm4')?.id).toBe('m5')
    expect(findHindrance(state, releaseOf(4))).toEqual({
      code: 'refused',
      message: 'eu cannot go to release 4: the migration of release 5 cannot be taken down; deploy a release that suits it',
    })
    expect(findHindrance(state, releaseOf(5))).toBeUndefined()
  })

  it('is refused where one would have to be taken down and another one applied: that is not carried out yet', () => {
    const state = grown()
    const [newest] = findDowns(state, 'm2')
    if (newest !== undefined) noteDown(state, newest)
    migrate(state, 5)
    serve(state, 5)
    expect(findHindrance(state, releaseOf(4))).toMatchObject({ code: 'not_yet' })
    expect(findHindrance(state, releaseOf(2))).toBeUndefined()
  })
})

it('what was begun by a deployment is found by it, and by what takes its request back', () => {
  const state = grown()
  const { id } = migrate(state, 5)
  expect(findOwn(state, { migration: id, requestId: 'another' })?.id).toBe('m5')
  expect(findOwn(state, { requestId: 'r5' })?.on).toBe('m4')
  expect(findOwn(state, { requestId: 'r9' })).toBeUndefined()
})

it('forgets what no release of the history can need, and nothing else', () => {
  const state = grown()
  const failed = migrate(state, 5)
  noteDown(state, failed)
  forgetMigrations(state)
  expect(names(state.migrations ?? [])).toEqual(['m2', 'm4'])
  state.history = state.history.slice(0, 1)
  forgetMigrations(state)
  expect(names(state.migrations ?? [])).toEqual(['m2', 'm4'])
  for (const migration of findDowns(state, undefined)) noteDown(state, migration)
  forgetMigrations(state)
  expect(state.migrations).toBeUndefined()
})
