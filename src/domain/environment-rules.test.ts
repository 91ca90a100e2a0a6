import { describe, expect, it } from 'vitest'
import type { DeployRequest, EnvironmentState, RollbackRequest, Served } from './environment.ts'
import * as rules from './environment-rules.ts'
import type { ReleaseRef } from './release.ts'

function release(number: number): ReleaseRef {
  const digest = `sha256:${String(number).padStart(64, '0')}`
  return {
    id: `r${String(number)}`,
    project: 'shop',
    number,
    version: String(number),
    sha: 'a'.repeat(40),
    runId: `run${String(number)}`,
    image: { repository: 'shop/app', digest },
  }
}

function request(number: number, extra: Partial<DeployRequest> = {}): DeployRequest {
  const deploy = { environment: 'production', strategy: 'blue_green' as const, health: {}, bakeMs: 0 }
  return {
    id: `run${String(number)}/deploy/production/1`,
    runId: `run${String(number)}`,
    step: 'deploy',
    release: release(number),
    deploy,
    ref: 'refs/heads/main',
    sequence: number,
    forced: false,
    ...extra,
  }
}

function served(number: number, status: Served['status']): Served {
  return { release: release(number), deploymentId: `d${String(number)}`, requestId: request(number).id, status, at: number }
}

function stateWith(...history: Served[]): EnvironmentState {
  const state = rules.emptyEnvironment('production', 0)
  for (const entry of history) rules.noteServed(state, entry)
  return state
}

describe('a request', () => {
  it('is queued once, however often it is repeated', () => {
    const state = stateWith()
    expect(rules.receiveRequest(state, request(1), 5).status).toBe('queued')
    expect(rules.receiveRequest(state, request(1), 6).status).toBe('queued')
    expect(state.queue).toHaveLength(1)
  })

  it('is superseded by a newer one of its ref that was deployed, and says so again when repeated', () => {
    const state = { ...stateWith(), newest: { 'refs/heads/main': 7 } }
    expect(rules.receiveRequest(state, request(6), 5).status).toBe('superseded')
    expect(rules.receiveRequest(state, request(6), 6).status).toBe('superseded')
    expect(rules.receiveRequest(state, request(6, { id: 'x', forced: true }), 6).status).toBe('queued')
    expect(rules.receiveRequest(state, request(6, { id: 'y', ref: 'refs/heads/other' }), 6).status).toBe('queued')
  })

  it('withdrawn before it arrives is not carried out when it does arrive', () => {
    const state = stateWith()
    expect(rules.receiveUndo(state, request(1).id, 5)?.status).toBe('withdrawn')
    expect(rules.receiveRequest(state, request(1), 6).status).toBe('withdrawn')
    expect(state.queue).toEqual([])
  })

  it('withdrawn while queued leaves the queue', () => {
    const state = stateWith()
    rules.receiveRequest(state, request(1), 5)
    expect(rules.receiveUndo(state, request(1).id, 6)?.status).toBe('withdrawn')
    expect(rules.hasJob(state)).toBe(false)
  })
})

describe("a person's deployment", () => {
  const wanted = (number: number, id = `deploy/${String(number)}`): RollbackRequest => ({
    ...{ id, environment: 'production', to: release(number).image.digest, release: release(number) },
    actor: { id: 'token:ana', name: 'ana' },
  })
  const back: RollbackRequest = { id: 'rollback/1', environment: 'production', to: '1', actor: { id: 'token:ana', name: 'ana' } }
  const idOf = (job: rules.EnvironmentJob | undefined) =>
    job === undefined || job.type === 'undo' ? job?.requestId : job.request.id

  it('is of any release, also one that was never served here, and queued once', () => {
    const state = stateWith(served(1, 'kept'))
    expect(rules.receivePerson(state, wanted(7), 5)).toEqual(release(7))
    expect(rules.receivePerson(state, wanted(7), 6)).toEqual(release(7))
    expect(state.rollbacks).toHaveLength(1)
    rules.takeJob(state)
    rules.remember(state, { requestId: wanted(7).id, status: 'deployed', at: 7 })
    rules.receivePerson(state, wanted(7), 8)
    expect(rules.hasJob(state)).toBe(false)
  })

  it('of a key that was used for another release is answered with that one, and not queued', () => {
    const state = stateWith(served(1, 'kept'))
    rules.receivePerson(state, wanted(7, 'deploy/key'), 5)
    expect(rules.receivePerson(state, wanted(8, 'deploy/key'), 6)).toEqual(release(7))
    expect(state.rollbacks).toHaveLength(1)
    rules.takeJob(state)
    rules.noteServed(state, { ...served(7, 'kept'), requestId: 'deploy/key' })
    rules.remember(state, { requestId: 'deploy/key', status: 'deployed', at: 7 })
    expect(rules.receivePerson(state, wanted(8, 'deploy/key'), 8)).toEqual(release(7))
    expect(rules.hasJob(state)).toBe(false)
  })

  it('of a blocked release is refused', () => {
    const state = stateWith(served(1, 'kept'), served(2, 'blocked'))
    expect(rules.receivePerson(state, wanted(2), 5)).toBeUndefined()
    expect(rules.hasJob(state)).toBe(false)
  })

  it('is not left out for a newer push', () => {
    const state = { ...stateWith(served(1, 'kept')), newest: { 'refs/heads/main': 9 } }
    expect(rules.receivePerson(state, wanted(1), 5)).toEqual(release(1))
    expect(idOf(rules.takeJob(state))).toBe(wanted(1).id)
  })

  it('waits for what was queued before it, also if some of that is withdrawn, and goes before what comes later', () => {
    const state = stateWith(served(1, 'kept'))
    for (const number of [2, 3]) rules.receiveRequest(state, request(number), 5)
    rules.receivePerson(state, wanted(1), 6)
    rules.receiveRequest(state, request(4), 7)
    rules.receivePerson(state, wanted(9), 8)
    rules.receiveUndo(state, request(3).id, 9)
    const order = Array.from({ length: 4 }, () => idOf(rules.takeJob(state)))
    expect(order).toEqual([request(2).id, wanted(1).id, request(4).id, wanted(9).id])
    expect(rules.hasJob(state)).toBe(false)
  })

  it('holds a rollback to the release that was named, also if a newer one has the same image', () => {
    const twin = { ...release(3), image: release(1).image }
    const state = stateWith(served(1, 'kept'), served(2, 'kept'), { ...served(3, 'kept'), release: twin })
    expect(rules.receivePerson(state, back, 5)).toEqual(release(1))
    expect(rules.receivePerson(state, back, 6)).toEqual(release(1))
    const job = rules.takeJob(state)
    expect(job?.type === 'rollback' && rules.findRollbackRelease(state, job.request)).toEqual(release(1))
  })

  it('is no way back: a rollback asked for after it goes first', () => {
    const state = stateWith(served(1, 'kept'), served(2, 'kept'))
    rules.receivePerson(state, wanted(2), 5)
    rules.receivePerson(state, back, 6)
    expect(state.rollbacks.map(rules.isWayBack)).toEqual([false, true])
    expect([idOf(rules.takeJob(state)), idOf(rules.takeJob(state))]).toEqual([back.id, wanted(2).id])
  })
})

describe('taking back', () => {
  it('goes to the newest release that is kept and not blocked, never merely to the one before', () => {
    expect(rules.newestKept(stateWith(served(1, 'kept'), served(2, 'undone'), served(3, 'provisional')))?.release.number).toBe(1)
    expect(rules.newestKept(stateWith(served(1, 'kept'), served(2, 'kept'), served(2, 'blocked')))?.release.number).toBe(1)
    expect(rules.newestKept(stateWith(served(1, 'provisional')))).toBeUndefined()
  })

  it('of what serves provisionally is a job of its own, once', () => {
    const state = stateWith(served(1, 'kept'), served(2, 'provisional'))
    expect(rules.receiveUndo(state, request(2).id, 5)).toBeUndefined()
    expect(rules.receiveUndo(state, request(2).id, 6)).toBeUndefined()
    expect(state.undos).toEqual([request(2).id])
  })

  it('of what does not serve any more only marks it, so that nothing goes back to it', () => {
    const state = stateWith(served(1, 'provisional'), served(2, 'provisional'))
    state.answers = [{ requestId: request(1).id, status: 'deployed', at: 1 }]
    expect(rules.receiveUndo(state, request(1).id, 5)?.status).toBe('undone')
    expect(state.history[0]?.status).toBe('undone')
  })

  it('of what failed by itself is done already', () => {
    const state = stateWith()
    rules.remember(state, { requestId: request(1).id, status: 'failed', at: 1 })
    expect(rules.receiveUndo(state, request(1).id, 5)?.status).toBe('undone')
  })

  it('stands against a keep that comes too late, and a keep stands when the history has forgotten its release', () => {
    const state = stateWith(served(1, 'undone'))
    expect(rules.receiveKeep(state, request(1).id, 5).status).toBe('undone')
    rules.remember(state, { requestId: request(2).id, status: 'deployed', at: 1 })
    expect(rules.receiveKeep(state, request(2).id, 6).status).toBe('kept')
  })

  it('passes over what was deployed since and is still provisional, so that its run cannot end as if it served', () => {
    const state = stateWith(served(1, 'kept'), served(2, 'provisional'), served(3, 'undone'))
    rules.passOver(state, rules.newestKept(state), 5)
    expect(state.history.map(({ status }) => status)).toEqual(['kept', 'undone', 'undone'])
    expect(rules.receiveKeep(state, request(2).id, 6)).toMatchObject({
      status: 'undone',
      reason: 'production went back to release 1 when a later deployment was taken back',
    })
    expect(rules.newestKept(state)?.release.number).toBe(1)
  })

  it('is answered by its own job alone while that is under way', () => {
    const state = stateWith(served(1, 'kept'), served(2, 'undone'))
    rules.remember(state, { requestId: request(2).id, status: 'deployed', at: 1 })
    const undo = {
      id: 'd9',
      environment: 'production',
      kind: 'undo' as const,
      release: release(1),
      status: 'running' as const,
      startedAt: 1,
    }
    state.active = { ...undo, requestId: rules.undoRequestId(request(2).id) }
    expect(rules.receiveUndo(state, request(2).id, 5)).toBeUndefined()
  })

  it('never forgets what it would go back to, however many bad releases came since', () => {
    const bad = Array.from({ length: 120 }, (_, index) => served(index + 2, 'undone'))
    const state = stateWith(served(1, 'kept'), ...bad)
    expect(state.history).toHaveLength(50)
    expect(rules.newestKept(state)?.release.number).toBe(1)
  })

  it('does not touch what is kept', () => {
    const state = stateWith(served(1, 'provisional'))
    expect(rules.receiveKeep(state, request(1).id, 5).status).toBe('kept')
    expect(rules.receiveUndo(state, request(1).id, 6)?.status).toBe('kept')
    expect(state.history[0]?.status).toBe('kept')
  })
})

describe("a person's rollback", () => {
  const state = stateWith(served(1, 'kept'), served(2, 'undone'), served(3, 'kept'))

  it.each([
    ['nothing said: the newest kept that is older than the current one', undefined, 1],
    ['a number', '1', 1],
    ['a number with #', '#2', 2],
    ['a digest', release(1).image.digest, 1],
    ['something it never served', '9', undefined],
  ])('%s', (_title, to, number) => {
    expect(rules.findRollbackRelease(state, to === undefined ? {} : { to })?.number).toBe(number)
  })

  it('without a release never goes forward', () => {
    const back = stateWith(served(1, 'kept'), served(2, 'kept'), { ...served(1, 'kept'), deploymentId: 'd3' })
    expect(rules.findRollbackRelease(back, {})).toBeUndefined()
  })

  it('stays within the project where several share an environment: numbers count in each', () => {
    const other = served(3, 'kept')
    const shared = stateWith(served(2, 'kept'), { ...other, release: { ...other.release, project: 'blog' } }, served(5, 'kept'))
    expect(rules.findRollbackRelease(shared, {})).toMatchObject({ number: 2, project: release(2).project })
    expect(rules.findRollbackRelease(shared, { to: '3' })).toBeUndefined()
    expect(rules.findRollbackRelease(shared, { to: other.release.image.digest })).toMatchObject({ project: 'blog' })
  })

  it('goes before all queued deployments, and an undo before both', () => {
    const busy = stateWith()
    busy.queue = [request(1)]
    busy.rollbacks = [{ id: 'b', environment: 'production', actor: { id: 'x', name: 'x' } }]
    busy.undos = ['u']
    expect([rules.takeJob(busy)?.type, rules.takeJob(busy)?.type, rules.takeJob(busy)?.type]).toEqual([
      'undo',
      'rollback',
      'deploy',
    ])
    expect(rules.takeJob(busy)).toBeUndefined()
  })
})
