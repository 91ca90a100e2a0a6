/** Freeze windows and blocked releases, as the rules of an environment see them. */
import { describe, expect, it } from 'vitest'
import { addBlock, blockedAnswer, findBlock, removeBlock, whyBlocked } from './environment-blocks.ts'
import { addFreeze, removeFreeze } from './environment-freezes.ts'
import { noteGiven } from './environment-given.ts'
import * as rules from './environment-rules.ts'
import { EnvironmentState, type DeployRequest, type RollbackRequest, type Served } from './environment.ts'
import { blockLimit, freezeLimit, type BlockedRelease, type Freeze } from './freeze.ts'
import type { ReleaseRef } from './release.ts'

const ana = { id: 'token:ana', name: 'ana' }

function release(number: number, digit = String(number)): ReleaseRef {
  const image = { repository: 'shop/app', digest: `sha256:${digit.padStart(64, '0')}` }
  const sha = 'a'.repeat(40)
  return { id: `r${String(number)}`, project: 'shop', number, version: String(number), sha, runId: `run${String(number)}`, image }
}

function request(number: number): DeployRequest {
  return {
    id: `run${String(number)}/ship/production/1`,
    runId: `run${String(number)}`,
    step: 'ship',
    release: release(number),
    deploy: { environment: 'production', strategy: 'blue_green', health: {}, bakeMs: 0 },
    ref: 'refs/heads/main',
    sequence: number,
    forced: false,
  }
}

function person(number: number, force?: true): RollbackRequest {
  const wanted = { to: release(number).image.digest, release: release(number) }
  return {
    id: `deploy/${String(number)}`,
    environment: 'production',
    actor: ana,
    ...wanted,
    ...(force === undefined ? {} : { force }),
  }
}

const back: RollbackRequest = { id: 'rollback/1', environment: 'production', to: release(1).image.digest, actor: ana }

function stateWith(...served: [number, Served['status']][]): EnvironmentState {
  const state = rules.emptyEnvironment('production', 0)
  for (const [number, status] of served) {
    const entry = { release: release(number), deploymentId: `d${String(number)}`, requestId: request(number).id }
    rules.noteServed(state, { ...entry, status, at: number })
  }
  return state
}

function block(number: number, digit?: string): BlockedRelease {
  return { release: release(number, digit), actor: ana, reason: 'leaks memory', at: 1 }
}

function window(id: string, until = 100): Freeze {
  return { id, times: { type: 'once', from: 0, until, timeZone: 'UTC' }, actor: ana, at: 0 }
}

const held = { until: 100, reason: 'frozen until then (f-1 by ana)' }

function takeAll(state: EnvironmentState): string[] {
  const ids: string[] = []
  for (let job = rules.takeJob(state); job !== undefined; job = rules.takeJob(state))
    ids.push(job.type === 'undo' ? job.requestId : job.request.id)
  return ids
}

describe('a blocked release', () => {
  it('is refused to a run with who and why, at once and when its turn comes', () => {
    const state = stateWith()
    rules.receiveRequest(state, request(2), 5)
    addBlock(state, block(2))
    const reason = 'release 2 is blocked in production by ana: leaks memory'
    expect(blockedAnswer(state, request(2), 6)).toMatchObject({ status: 'failed', fault: 'failed', reason })
    state.queue = []
    expect(rules.receiveRequest(state, request(2), 7)).toMatchObject({ status: 'failed', fault: 'failed', reason })
    expect(state.queue).toEqual([])
    expect(rules.receiveRequest(state, request(3), 7).status).toBe('queued')
  })

  it('is refused to a person, before it ever served too', () => {
    const state = stateWith([1, 'kept'])
    addBlock(state, block(1))
    addBlock(state, block(9))
    expect(rules.receivePerson(state, person(9), 5)).toBeUndefined()
    expect(rules.receivePerson(state, back, 5)).toBeUndefined()
    expect(state.rollbacks).toEqual([])
  })

  it('is passed over on the way back, by number and by default', () => {
    const state = stateWith([1, 'kept'], [2, 'kept'], [3, 'kept'], [4, 'provisional'])
    addBlock(state, block(3))
    expect(rules.newestKept(state)?.release.number).toBe(2)
    expect(rules.findRollbackRelease(state, {})?.number).toBe(2)
    expect(rules.findRollbackRelease(state, { to: '3' })).toBeUndefined()
  })

  it('is blocked with its image, under whatever number that comes', () => {
    const state = stateWith([1, 'kept'])
    addBlock(state, block(2, '7'))
    expect(whyBlocked(state, release(7))).toBe(
      'release 7 is blocked in production: it is the image of release 2, blocked by ana: leaks memory',
    )
    expect(rules.receivePerson(state, person(7), 5)).toBeUndefined()
  })

  it('that was kept can be gone back to once it is unblocked', () => {
    const state = stateWith([1, 'kept'], [2, 'kept'])
    addBlock(state, block(2))
    addBlock(state, { ...block(2), reason: 'said twice' })
    expect(findBlock(state, release(2))?.reason).toBe('leaks memory')
    expect(rules.newestKept(state)?.release.number).toBe(1)
    expect(removeBlock(state, 'r2')).toBe(true)
    expect(removeBlock(state, 'r2')).toBe(false)
    expect(state).not.toHaveProperty('blocked')
    expect(rules.newestKept(state)?.release.number).toBe(2)
  })

  it('keeps its turn if it was asked for before and its answer is known', () => {
    const state = stateWith([1, 'kept'], [2, 'kept'])
    expect(rules.receivePerson(state, back, 5)?.number).toBe(1)
    addBlock(state, block(1))
    // The same request again is answered as it was; that it will not be carried out is told in the history.
    expect(rules.receivePerson(state, back, 6)?.number).toBe(1)
    expect(state.rollbacks).toHaveLength(1)
  })

  it('is one of as many as the state can carry', () => {
    const state = stateWith()
    for (let number = 1; number <= blockLimit; number += 1) addBlock(state, block(number))
    addBlock(state, block(1))
    expect(() => {
      addBlock(state, block(blockLimit + 1))
    }).toThrow(expect.objectContaining({ code: 'refused', hint: expect.any(String) }))
  })
})

describe('while an environment is frozen', () => {
  it('what runs ask for waits, is told why, and goes on in order when it is not any more', () => {
    const state = stateWith()
    expect(rules.receiveRequest(state, request(1), 5)).not.toHaveProperty('reason')
    state.held = held
    expect(rules.receiveRequest(state, request(1), 6)).toMatchObject({ status: 'queued', reason: held.reason })
    expect(rules.receiveRequest(state, request(2), 7)).toMatchObject({ status: 'queued', reason: held.reason })
    expect(rules.hasJob(state)).toBe(false)
    expect(rules.takeJob(state)).toBeUndefined()
    delete state.held
    expect(rules.hasJob(state)).toBe(true)
    expect(takeAll(state)).toEqual([request(1).id, request(2).id])
  })

  it("undo, a person's rollback and what is forced go all the same, past what waits", () => {
    const state = stateWith([1, 'kept'], [2, 'kept'], [3, 'provisional'])
    rules.receiveRequest(state, request(5), 5)
    rules.receivePerson(state, person(6), 5)
    state.held = held
    rules.receivePerson(state, person(7, true), 6)
    rules.receivePerson(state, back, 6)
    rules.receiveUndo(state, request(3).id, 6)
    expect(rules.hasJob(state)).toBe(true)
    expect(takeAll(state)).toEqual([request(3).id, back.id, person(7).id])
    expect(rules.hasJob(state)).toBe(false)
    delete state.held
    expect(takeAll(state)).toEqual([request(5).id, person(6).id])
  })

  it('a request is withdrawn as ever', () => {
    const state = { ...stateWith(), held }
    rules.receiveRequest(state, request(1), 5)
    expect(rules.receiveUndo(state, request(1).id, 6)?.status).toBe('withdrawn')
  })

  it('and not frozen any more, what a person forced keeps its turn', () => {
    const state = stateWith()
    rules.receiveRequest(state, request(1), 5)
    rules.receivePerson(state, person(7, true), 6)
    expect(takeAll(state)).toEqual([request(1).id, person(7).id])
  })
})

describe('a freeze window', () => {
  it('is there once, however often it is said, and has what waits looked at again', () => {
    const state = { ...stateWith(), held }
    addFreeze(state, window('f-1'), 5)
    expect(state).not.toHaveProperty('held')
    addFreeze(state, window('f-1'), 6)
    expect(state.freezes).toHaveLength(1)
  })

  it('that was lifted does not come back by a late repeat', () => {
    const state = stateWith()
    addFreeze(state, window('f-1'), 5)
    expect(removeFreeze(state, undefined, 6).id).toBe('f-1')
    addFreeze(state, window('f-1'), 7)
    expect(state).not.toHaveProperty('freezes')
  })

  it('that is over makes room', () => {
    const state = stateWith()
    for (let number = 0; number < freezeLimit; number += 1) addFreeze(state, window(`f-${String(number)}`), 5)
    expect(() => addFreeze(state, window('more'), 5)).toThrow(expect.objectContaining({ code: 'refused' }))
    addFreeze(state, window('more', 300), 200)
    expect(state.freezes?.map(({ id }) => id)).toEqual(['more'])
  })

  it('has to be named if there are several, and to be there', () => {
    const state = stateWith()
    expect(() => removeFreeze(state, undefined, 5)).toThrow(expect.objectContaining({ code: 'not_found' }))
    for (const id of ['f-1', 'f-2']) addFreeze(state, window(id), 5)
    expect(() => removeFreeze(state, undefined, 5)).toThrow(
      expect.objectContaining({ code: 'conflict', hint: 'Name one of f-1, f-2.' }),
    )
    expect(() => removeFreeze(state, 'f-3', 5)).toThrow(expect.objectContaining({ code: 'not_found' }))
    removeFreeze(state, 'f-1', 5)
    expect(state.freezes?.map(({ id }) => id)).toEqual(['f-2'])
  })
})

describe('the variables that a release was given', () => {
  it('are known of what serves and of what was started last, and stay if it was there before', () => {
    const state = stateWith([1, 'kept'])
    const digest = (number: number) => release(number).image.digest
    noteGiven(state, digest(1), { LEVEL: { value: 'info' } })
    noteGiven(state, digest(2), { LEVEL: { value: 'debug' } })
    noteGiven(state, digest(2), undefined)
    expect(state.given).toEqual({ [digest(1)]: { LEVEL: { value: 'info' } }, [digest(2)]: { LEVEL: { value: 'debug' } } })
    noteGiven(state, digest(3), { KEY: { secret: 'key' } })
    expect(Object.keys(state.given ?? {})).toEqual([digest(1), digest(3)])
  })
})

describe('the order of pushes', () => {
  it('counts within a ref, also for what has waited for a freeze to end', () => {
    const state = stateWith()
    const older = request(1)
    rules.receiveRequest(state, older, 5)
    state.held = held
    rules.receiveRequest(state, { ...request(3), ref: 'refs/heads/other' }, 6)
    rules.receiveRequest(state, request(2), 6)
    delete state.held
    expect(takeAll(state)).toEqual([older.id, request(3).id, request(2).id])
    // As the workflow asks when the turn of one has come.
    state.newest = { 'refs/heads/main': 2, 'refs/heads/other': 9 }
    expect(rules.isSuperseded(state, older)).toBe(true)
    expect(rules.isSuperseded(state, { ...older, forced: true })).toBe(false)
    expect(rules.isSuperseded(state, request(2))).toBe(false)
    expect(rules.isSuperseded(state, { ...request(3), ref: 'refs/heads/other' })).toBe(true)
    expect(rules.receiveRequest(state, { ...older, id: 'late' }, 7)).toMatchObject({ status: 'superseded' })
  })

  it('is not asked of a way back: a superseded release that is provisional is taken back, or kept, as its run says', () => {
    const state = stateWith([1, 'kept'], [2, 'provisional'])
    state.newest = { 'refs/heads/main': 7 }
    expect(rules.receiveUndo(state, request(2).id, 5)).toBeUndefined()
    expect(state.undos).toEqual([request(2).id])
    const other = stateWith([1, 'kept'], [2, 'provisional'])
    other.newest = { 'refs/heads/main': 7 }
    expect(rules.receiveKeep(other, request(2).id, 5).status).toBe('kept')
  })
})

describe('what a workflow hands on to the next one', () => {
  it('is all that it knows: queue, answers, windows, blocks and what was given', () => {
    const state = stateWith([1, 'kept'], [2, 'provisional'])
    rules.receiveRequest(state, request(5), 5)
    rules.receivePerson(state, person(6, true), 5)
    rules.receiveUndo(state, request(2).id, 6)
    rules.remember(state, { requestId: 'asked before', status: 'deployed', at: 6 })
    addFreeze(state, window('f-1'), 6)
    addBlock(state, block(9))
    noteGiven(state, release(2).image.digest, { LEVEL: { value: 'info' }, KEY: { secret: 'key' } })
    state.held = held
    const handedOn: unknown = JSON.parse(JSON.stringify(state))
    expect(handedOn).toEqual(state)
    // Nothing is in it that its schema does not know.
    expect(EnvironmentState.strict().parse(handedOn)).toEqual(state)
    const next = EnvironmentState.parse(handedOn)
    expect(rules.receiveRequest(next, request(5), 7)).toMatchObject({ status: 'queued', reason: held.reason })
    expect(rules.receiveRequest(next, { ...request(5), id: 'asked before' }, 7).status).toBe('deployed')
    expect(rules.receivePerson(next, person(6, true), 7)?.number).toBe(6)
    expect(next.rollbacks).toHaveLength(1)
    expect(takeAll(next)).toEqual([request(2).id, person(6).id])
  })
})
