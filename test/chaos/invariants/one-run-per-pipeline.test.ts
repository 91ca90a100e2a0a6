import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ana, makeDelivery, makeTrigger, sha } from '../../contracts/store/samples.ts'
import { oneRunPerPipeline } from './one-run-per-pipeline.ts'
import { linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()

async function judge(small: SmallWorld): Promise<string[]> {
  return linesOf(oneRunPerPipeline(await small.remember()).violations)
}

describe('nothing to say of', () => {
  it('a run for each pipeline, and one skipped run where none matches', async () => {
    const small = await openWorld()
    for (const run of await small.deliver({ pipelines: ['one', 'two'] })) await small.carryOut(run)
    const [none] = await small.deliver({ pipelines: [] })
    await small.store.runs.finish(String(none?.id), { status: 'skipped', at: 1 }, [])
    const { violations, looked } = oneRunPerPipeline(await small.remember())
    expect(violations).toEqual([])
    expect(looked).toEqual({ I1: 7, 'I1 posts': 2, 'I1 deliveries': 2, 'I1 runs': 3 })
  })

  it('a delivery whose answer was lost, and one that was posted twice', async () => {
    const small = await openWorld()
    for (const run of await small.deliver()) await small.carryOut(run)
    const [post] = small.ledger.posts
    if (post === undefined) throw new Error('no post')
    const { status: _status, runId: _runId, ...lost } = post
    small.ledger.posts.unshift(lost)
    small.ledger.posts.push({ ...post, status: 200 })
    expect(await judge(small)).toEqual([])
  })

  it('siblings that are missing because their first run was cancelled before it was compiled', async () => {
    const small = await openWorld()
    const [first] = await small.deliver({ pipelines: ['one'] })
    small.ledger.posts[0]?.pipelines.push('two')
    await small.store.runs.cancel({ runId: String(first?.id), actor: ana })
    expect(await judge(small)).toEqual([])
  })

  it('a run without a pipeline that a fault has ended in Temporal before it was compiled; but its siblings must be there', async () => {
    const small = await openWorld()
    const [first] = await small.deliver({ pipelines: ['one'] })
    await small.store.runs.finish(String(first?.id), { status: 'errored', at: 1 }, [])
    expect((await judge(small)).join()).toContain('its pipelines are [one], its runs')
    small.ledger.faults.push({ at: 1, name: 'terminate run', about: `run/${String(first?.id)}` })
    expect(await judge(small)).toEqual([])
    small.ledger.posts[0]?.pipelines.push('two')
    expect((await judge(small)).join()).toContain('its pipelines are [one, two], its runs')
  })

  it('a run of polling for a push that nobody posted', async () => {
    const small = await openWorld()
    await startPolled(small, 'quiet', sha('quiet'))
    expect(await judge(small)).toEqual([])
  })

  it('a run of polling beside that of a hook, if the branch was elsewhere in between', async () => {
    const small = await openWorld()
    await startPolled(small, 'main', sha('a'))
    await startPolled(small, 'main', sha('b'))
    await small.deliver({ branch: 'main', sha: sha('a') })
    for (const run of (await small.store.runs.list({})).items) await small.carryOut(run)
    expect(await judge(small)).toEqual([])
  })
})

describe('a run that goes on after its end', () => {
  async function retriedWorld() {
    const small = await openWorld()
    const [first] = await small.deliver()
    if (first === undefined) throw new Error('no run')
    await small.carryOut(first, { end: 'failed' })
    const run = await small.goOn(first)
    await small.carryOut(run)
    return { small, run }
  }

  it('is the same run, once for each time that it was asked for', async () => {
    const { small, run } = await retriedWorld()
    expect(await judge(small)).toEqual([])
    const finding = oneRunPerPipeline(await small.remember())
    expect(finding.looked['I1 rounds']).toBe(1)
    small.ledger.requests.push({ at: 1, kind: 'resume', runId: run.id })
    expect((await judge(small)).join()).toContain('went on 1 times after an end, and was asked to 2 times')
  })

  it('may have been asked to without an answer', async () => {
    const { small } = await retriedWorld()
    small.ledger.unanswered.push(...small.ledger.requests.splice(0))
    expect(await judge(small)).toEqual([])
    small.ledger.unanswered.pop()
    expect((await judge(small)).join()).toContain('went on 1 times after an end, and was asked to 0 times')
  })

  it('has a workflow of each round, unless that was cancelled before', async () => {
    const { small, run } = await retriedWorld()
    const [begun] = small.executions.splice(0)
    expect((await judge(small)).join()).toContain('its workflows are none')
    small.ledger.requests.push({ at: 1, kind: 'cancel', runId: run.id })
    expect(await judge(small)).toEqual([])
    if (begun !== undefined) small.executions.push(begun, { ...begun, workflowId: `run/${run.id}/retry-2` })
    expect((await judge(small)).join()).toContain(`its workflows are run/${run.id}/retry-1, run/${run.id}/retry-2`)
  })
})

describe('says that', () => {
  it('an accepted delivery is gone', async () => {
    const small = await openWorld()
    small.ledger.posts.push({
      at: 1,
      deliveryId: 'gone',
      branch: 'main',
      sha: sha('1'),
      pipelines: ['one'],
      status: 202,
      runId: randomUUID(),
    })
    expect(await judge(small)).toEqual(['I1 delivery gone: answered 202, and the store does not know it'])
  })

  it('a delivery was answered with another run', async () => {
    const small = await openWorld()
    for (const run of await small.deliver()) await small.carryOut(run)
    const [post] = small.ledger.posts
    if (post !== undefined) small.ledger.posts.push({ ...post, runId: 'another' })
    expect((await judge(small)).join()).toContain('answered with run another, and the store has run')
  })

  it('a pipeline has two runs, or none', async () => {
    const small = await openWorld()
    const runs = await small.deliver({ pipelines: ['one', 'two'] })
    for (const run of runs) await small.carryOut(run)
    const [post] = small.ledger.posts
    post?.pipelines.splice(0, 2, 'one')
    expect((await judge(small)).join()).toMatch(
      /its pipelines are \[one\], its runs .*(one|two), succeeded.*(one|two), succeeded/,
    )
    post?.pipelines.push('two', 'three')
    expect((await judge(small)).join()).toMatch(/its pipelines are \[one, two, three\], its runs/)
  })

  it('a run was not skipped though nothing matches', async () => {
    const small = await openWorld()
    for (const run of await small.deliver()) await small.carryOut(run)
    small.ledger.posts[0]?.pipelines.pop()
    expect((await judge(small)).join()).toMatch(/matches no pipeline, and its runs are .*succeeded/)
  })

  it('a delivery was posted by nobody, and a run was asked for by nobody', async () => {
    const small = await openWorld()
    await small.store.deliveries.accept(makeDelivery('stray', { parsed: { trigger: makeTrigger() } }))
    const asked = await small.store.runs.start({
      project: 'shop',
      trigger: makeTrigger({ source: 'api', event: 'manual' }),
      key: 'k',
    })
    const said = await judge(small)
    expect(said).toContain('I1 delivery stray: the store has it, and nobody posted it')
    expect(said.join()).toContain(`run ${asked.id}`)
    expect(said.join()).toContain('was asked for by nobody')
    small.ledger.requests.push({ at: 1, kind: 'retry', runId: asked.id })
    expect((await judge(small)).join()).not.toContain('was asked for by nobody')
  })

  it('a delivery that should have made a run was ignored', async () => {
    const small = await openWorld()
    await small.store.deliveries.accept(makeDelivery('ignored', { parsed: { ignored: 'no reason' } }))
    small.ledger.posts.push({ at: 1, deliveryId: 'ignored', branch: 'main', sha: sha('1'), pipelines: ['one'] })
    expect(await judge(small)).toEqual(['I1 delivery ignored: has no run: the answer was {"ignored":"no reason"}'])
  })

  it('a push became two runs, one by its hook and one by polling', async () => {
    const small = await openWorld()
    const [run] = await small.deliver({ branch: 'main', sha: sha('a') })
    if (run !== undefined) await small.carryOut(run)
    await startPolled(small, 'main', sha('a'))
    expect((await judge(small)).join()).toContain('polling made it of the push to main that run')
  })
})

/** As polling does when it sees that a branch has moved. */
async function startPolled(small: SmallWorld, branch: string, commit: string): Promise<void> {
  const known = (await small.store.polls.heads('shop'))[branch]
  const trigger = makeTrigger({ source: 'poll', branch, sha: commit })
  await small.store.polls.seen({ project: 'shop', branch, sha: commit, trigger, ...(known === undefined ? {} : { known }) })
}
