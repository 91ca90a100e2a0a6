import { describe, expect, it } from 'vitest'
import { everyRunEnds } from './every-run-ends.ts'
import { execution, linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()
const minute = 60_000

async function judge(small: SmallWorld, afterMs = 0): Promise<string[]> {
  const memory = await small.remember()
  return linesOf(everyRunEnds({ ...memory, now: memory.now + afterMs }).violations)
}

/** A world with one run that has come so far, and its workflow. */
async function worldWith(end: 'succeeded' | 'rollback_blocked' | 'open', status = end === 'succeeded' ? 'COMPLETED' : 'RUNNING') {
  const small = await openWorld()
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  await small.carryOut(run, { end })
  if (status !== '') small.executions.push(execution(`run/${run.id}`, { status }))
  return { small, run }
}

describe('nothing to say of', () => {
  it('a run that has ended, and an environment that goes on', async () => {
    const { small } = await worldWith('succeeded')
    small.executions.push(execution('environment/production', { status: 'RUNNING' }))
    const memory = await small.remember()
    expect(everyRunEnds(memory)).toMatchObject({ violations: [], looked: { I2: 3, 'I2 runs': 1, 'I2 workflows': 2 } })
  })

  it('a run that is blocked at an undo, under whatever workflow it is', async () => {
    const { small, run } = await worldWith('open', '')
    await small.tell(run, [{ type: 'undo', item: { step: 'build', does: 'unmake', status: 'failed', reason: 'no' } }])
    await small.store.runs.finish(run.id, { status: 'rollback_blocked', at: 1 }, [])
    small.executions.push(execution(`run/${run.id}`, { status: 'TERMINATED' }))
    small.executions.push(execution(`recovery/${run.id}`, { status: 'RUNNING' }))
    small.ledger.faults.push({ at: 1, name: 'terminate run', about: `run/${run.id}` })
    expect(await judge(small, 5 * minute)).toEqual([])
  })

  it('a run that waits for something with a name', async () => {
    const { small, run } = await worldWith('open')
    await small.tell(run, [{ type: 'waiting', for: 'approval of ana' }])
    expect(await judge(small, 5 * minute)).toEqual([])
  })
})

describe('says that', () => {
  it('a run goes on and waits for nothing', async () => {
    const { small, run } = await worldWith('open')
    expect((await judge(small)).join()).toContain(
      `I2 run ${run.id}: is running and waits for nothing; its newest event is {"type":"step"`,
    )
  })

  it('a run is blocked at nothing', async () => {
    const { small, run } = await worldWith('rollback_blocked')
    expect(await judge(small)).toEqual([`I2 run ${run.id}: is blocked at no undo: []`])
  })

  it('a run has no workflow, once it had a minute to get one', async () => {
    const { small, run } = await worldWith('open', '')
    await small.tell(run, [{ type: 'waiting', for: 'a runner' }])
    expect(await judge(small)).toEqual([])
    expect((await judge(small, 2 * minute)).join()).toContain(
      `run ${run.id}: is running, has no open workflow, and was last heard of 12`,
    )
  })

  it('a workflow outlives its run, or shares it with another', async () => {
    const { small, run } = await worldWith('succeeded', 'RUNNING')
    expect(await judge(small)).toEqual([`I2 run ${run.id}: ended succeeded, and run/${run.id} is still open`])
    const other = await worldWith('open')
    other.small.executions.push(execution(`run/${other.run.id}/retry-1`, { status: 'RUNNING' }))
    expect((await judge(other.small)).join()).toContain(`is carried out by several workflows at once: run/${other.run.id}, run/`)
  })

  it('a workflow is stuck, or of a run that nobody knows', async () => {
    const small = await openWorld()
    small.executions.push(
      execution('environment/production', { status: 'RUNNING', stuck: 'its workflow task is tried for the 9th time' }),
    )
    small.executions.push(execution('run/0a0a0a0a-0000-4000-8000-000000000000'))
    expect(await judge(small)).toEqual([
      'I2 workflow environment/production: its workflow task is tried for the 9th time',
      'I2 workflow run/0a0a0a0a-0000-4000-8000-000000000000: the store has no such run',
    ])
  })

  it('a workflow was ended from outside that is not the one that a fault ended', async () => {
    const { small, run } = await worldWith('succeeded', 'TERMINATED')
    small.ledger.faults.push({ at: 1, name: 'terminate environment', about: 'environment/production' })
    expect(await judge(small)).toEqual([`I2 workflow run/${run.id}: is TERMINATED`])
    small.ledger.faults.push({ at: 1, name: 'terminate run', about: `run/${run.id}` })
    expect(await judge(small)).toEqual([])
  })

  it('a workflow was ended from outside more often than by faults', async () => {
    const { small } = await worldWith('succeeded')
    for (const status of ['TERMINATED', 'CANCELLED', 'RUNNING'])
      small.executions.push(execution('environment/production', { status }))
    small.ledger.faults.push({ at: 1, name: 'terminate environment', about: 'environment/production' })
    expect(await judge(small)).toEqual(['I2 workflow environment/production: is TERMINATED, CANCELLED, and was ended 1 times'])
  })

  it('a run is recovered that nobody has ended', async () => {
    const { small, run } = await worldWith('succeeded')
    small.executions.push(execution(`recovery/${run.id}/retry-1`))
    expect(await judge(small)).toEqual([`I2 workflow recovery/${run.id}/retry-1: recovers a run whose workflow nobody had ended`])
    small.ledger.faults.push({ at: 1, name: 'terminate run', about: `run/${run.id}/retry-1` })
    expect(await judge(small)).toEqual([])
  })

  it.each(['FAILED', 'TIMED_OUT', 'TERMINATED', 'CANCELLED'])('a workflow is %s, which nobody has asked for', async (status) => {
    const { small, run } = await worldWith('succeeded', status)
    expect(await judge(small)).toEqual([`I2 workflow run/${run.id}: is ${status}`])
  })
})
