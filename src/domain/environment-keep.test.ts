import { expect, it } from 'vitest'
import { environmentMemory, type EnvironmentState, type Served } from './environment.ts'
import { emptyEnvironment, newestKept, newestSettled, noteServed, receiveKeep, receiveUndo, unkeep } from './environment-rules.ts'

const entry = (name: string, status: Served['status']): Served => ({
  release: {
    ...{ id: name, project: 'shop', number: 1, version: name, sha: 'c'.repeat(40), runId: name },
    image: { repository: 'shop/app', digest: `sha256:${'0'.repeat(64)}` },
  },
  ...{ deploymentId: `deployment ${name}`, requestId: `${name}/ship/eu/1`, status, at: 1 },
})

function serving(...entries: Served[]): EnvironmentState {
  const state = emptyEnvironment('eu', 1)
  for (const one of entries) noteServed(state, one)
  return state
}

it('what was kept is taken back all the same if its run says that it has not settled, and nothing goes back to it', () => {
  const state = serving(entry('old', 'kept'), entry('new', 'provisional'))
  const { requestId } = entry('new', 'provisional')
  expect(receiveKeep(state, requestId, 2).status).toBe('kept')
  expect(receiveUndo(state, requestId, 3)?.status).toBe('kept')
  unkeep(state, requestId)
  expect(receiveUndo(state, requestId, 4)).toBeUndefined()
  expect(state.undos).toEqual([requestId])
  expect(newestKept(state)?.release.id).toBe('old')
  // Said again, while it is under way or done: it stays so.
  unkeep(state, requestId)
  expect(state.history.at(-1)?.status).toBe('undone')
})

it('what was kept and does not serve any more is only marked', () => {
  const state = serving(entry('old', 'kept'), entry('new', 'kept'), entry('newer', 'kept'))
  const { requestId } = entry('new', 'kept')
  unkeep(state, requestId)
  expect(receiveUndo(state, requestId, 2)).toMatchObject({ status: 'undone' })
  expect(state.undos).toEqual([])
  expect(state.history.map(({ status }) => status)).toEqual(['kept', 'undone', 'kept'])
})

it('what was kept so long ago that it is forgotten does not serve any more: its run is not told for ever that it is kept', () => {
  const state = serving(entry('old', 'provisional'))
  const { requestId } = entry('old', 'provisional')
  receiveKeep(state, requestId, 2)
  for (let n = 0; n <= environmentMemory; n += 1) noteServed(state, entry(`later ${String(n)}`, 'kept'))
  unkeep(state, requestId)
  expect(receiveUndo(state, requestId, 3)).toMatchObject({ status: 'undone' })
  expect(state.undos).toEqual([])
})

it('what was settled last is remembered however many bad ones come, also if it is blocked: the data is as it needs it', () => {
  const blocked = { ...entry('old', 'kept'), level: 'its migration' }
  const state = serving(blocked)
  state.blocked = [{ release: blocked.release, actor: { id: 'token:ana', name: 'ana' }, at: 1 }]
  for (let n = 0; n <= environmentMemory; n += 1) noteServed(state, entry(`bad ${String(n)}`, 'undone'))
  expect(newestKept(state)).toBeUndefined()
  expect(newestSettled(state)?.level).toBe('its migration')
})
