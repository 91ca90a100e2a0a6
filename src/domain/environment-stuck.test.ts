import { describe, expect, it } from 'vitest'
import type { Deployment, EnvironmentState, Served } from './environment.ts'
import * as rules from './environment-rules.ts'
import type { ReleaseRef } from './release.ts'

const id = 'run2/deploy/production/1'
const failedAt = 10

function release(number: number): ReleaseRef {
  const image = { repository: 'shop/app', digest: `sha256:${String(number).padStart(64, '0')}` }
  const runId = `run${String(number)}`
  return { id: `r${String(number)}`, project: 'shop', number, version: String(number), sha: 'a'.repeat(40), runId, image }
}

function stateWith(...statuses: Served['status'][]): EnvironmentState {
  const state = rules.emptyEnvironment('production', 0)
  for (const [index, status] of statuses.entries()) {
    const number = index + 1
    const requestId = `run${String(number)}/deploy/production/1`
    rules.noteServed(state, { release: release(number), deploymentId: `d${String(number)}`, requestId, status, at: number })
  }
  return state
}

describe('a way back that failed', () => {
  function deployment(extra: Partial<Deployment> = {}): Deployment {
    const base = {
      id: 'd9',
      environment: 'production',
      kind: 'deploy' as const,
      release: release(2),
      requestId: id,
      startedAt: 1,
    }
    return { ...base, runId: 'run2', status: 'undo_failed', ...extra }
  }

  /** Release 2 serves, is not wanted any more, and could not be taken back. */
  function stuckState(): EnvironmentState {
    const state = stateWith('kept', 'undone')
    rules.noteStuck(state, deployment(), false)
    rules.remember(state, { requestId: id, status: 'undo_failed', reason: 'the target said no', at: failedAt })
    return state
  }

  it('is answered from memory, however often the run asks, and nothing is tried', () => {
    const state = stuckState()
    expect(rules.receiveUndo(state, id, 20)).toMatchObject({ status: 'undo_failed', at: failedAt })
    expect(rules.hasJob(state)).toBe(false)
  })

  it('is a job again once the run asks after that answer: one, however often it repeats itself', () => {
    const state = stuckState()
    expect(rules.receiveUndo(state, id, 20, failedAt)).toBeUndefined()
    expect(rules.receiveUndo(state, id, 21, failedAt)).toBeUndefined()
    expect(state.undos).toEqual([id])
    rules.takeJob(state)
    state.active = deployment({ kind: 'undo', requestId: rules.undoRequestId(id, 1), status: 'running' })
    expect(rules.receiveUndo(state, id, 22, failedAt)).toBeUndefined()
    expect(rules.hasJob(state)).toBe(false)
  })

  it('that fails again answers the repeat of that question, and is a job for the next one', () => {
    const state = stuckState()
    rules.remember(state, { requestId: id, status: 'undo_failed', reason: 'no again', at: 30 })
    expect(rules.receiveUndo(state, id, 31, failedAt)).toMatchObject({ status: 'undo_failed', reason: 'no again', at: 30 })
    expect(rules.receiveUndo(state, id, 32, 30)).toBeUndefined()
  })

  it('is tried again, too, where its release never got so far as to serve', () => {
    const state = stateWith('kept')
    rules.noteStuck(state, deployment(), true)
    rules.remember(state, { requestId: id, status: 'undo_failed', at: failedAt })
    expect(rules.receiveUndo(state, id, 20, failedAt)).toBeUndefined()
    expect(rules.findStuck(state, id)).toMatchObject({ release: release(2), untouched: true, tries: 1 })
  })

  it('is tried again, too, when the answer was forgotten', () => {
    const state = stuckState()
    state.answers = []
    expect(rules.receiveUndo(state, id, 20, failedAt)).toBeUndefined()
    expect(state.undos).toEqual([id])
  })

  it('of which nothing is noted is never said to be done', () => {
    const state = stateWith('kept')
    expect(rules.receiveUndo(state, id, 20, failedAt)).toMatchObject({ status: 'undo_failed', at: 20 })
    rules.remember(state, { requestId: id, status: 'undo_failed', reason: 'the target said no', at: failedAt })
    expect(rules.receiveUndo(state, id, 20, failedAt)).toMatchObject({ reason: 'the target said no', at: 20 })
    expect(rules.hasJob(state)).toBe(false)
  })

  it('is over once another release was verified in its place: the next question is answered undone', () => {
    const state = stuckState()
    rules.freeAllStuck(state, 40)
    expect(state.stuck).toBeUndefined()
    expect(rules.receiveUndo(state, id, 41, failedAt)).toMatchObject({
      status: 'undone',
      reason: 'another release has taken its place in production since',
    })
    expect(rules.hasJob(state)).toBe(false)
  })

  it('counts its tries, and each further one is a deployment of its own', () => {
    const state = stuckState()
    const ids = [rules.undoRequestId(id), rules.undoRequestId(id, 1), rules.undoRequestId(id, 2)]
    expect(new Set(ids).size).toBe(3)
    for (const requestId of ids) expect(rules.requestOf({ kind: 'undo', requestId })).toBe(id)
    rules.noteStuck(state, deployment({ kind: 'undo', requestId: ids[1] ?? '', release: release(1) }), false)
    expect(state.stuck).toMatchObject([{ requestId: id, release: release(2), tries: 2 }])
  })

  it("is not noted of a person's rollback, which no run asks about, and is forgotten when it is gone", () => {
    const state = stuckState()
    rules.freeStuck(state, id)
    const { runId: _, ...person } = deployment({ kind: 'rollback', requestId: 'rollback/token:ana/1' })
    rules.noteStuck(state, person, false)
    expect(state.stuck).toBeUndefined()
  })

  it('takes a request for what it is, also one for an environment called "undo"', () => {
    expect(rules.requestOf({ kind: 'deploy', requestId: 'run/step/undo/1' })).toBe('run/step/undo/1')
    expect(rules.requestOf({ kind: 'undo', requestId: rules.undoRequestId('run/step/undo/1') })).toBe('run/step/undo/1')
  })
})
