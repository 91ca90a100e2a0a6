import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf, makeTrigger, streamOf } from '../../../test/contracts/store/samples.ts'
import { openFrontDoor, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { until } from '../../../test/helpers/until.ts'
import { runProgram } from '../../cli/program.ts'
import { testIo } from '../../cli/test-io.ts'
import { defaults } from '../../domain/defaults.ts'
import type { Run, Store } from '../../store/store.ts'
import { cleanUp, startCleanUp } from '../clean-up.ts'

const dayMs = 86_400_000
let door: FrontDoor

beforeEach(async () => {
  door = await openFrontDoor()
})

afterEach(() => door.close())

async function endedRun(daysAgo: number, log = 'hello'): Promise<Run> {
  const run = await door.store.runs.start({ project: 'shop', trigger: makeTrigger(), key: `${String(daysAgo)}/${log}` })
  for (const { id } of await door.store.commands.lease({ owner: 'a', leaseMs: 1, limit: 9 })) await door.store.commands.done(id)
  const key = { runId: run.id, step: 'unit', attempt: 1, epoch: 1, part: 'step' as const }
  await door.store.logs.append(key, { offset: 0, bytes: Buffer.from(log), final: true })
  await door.store.runs.finish(run.id, { status: 'succeeded', at: Date.now() - daysAgo * dayMs }, [])
  return run
}

async function releaseOf(run: Run): Promise<string> {
  const image = { repository: 'shop/app', digest: digestOf(run.id) }
  await door.store.blobs.put(digestOf(run.id), streamOf(run.id))
  const made = await door.store.releases.create({
    ...{ project: run.project, runId: run.id, sha: run.trigger.sha, image, step: 'release' },
    artifacts: [],
  })
  return made.image.digest
}

const logsOf = async (run: Run) => (await door.store.logs.list(run.id, 'unit')).length

async function gcAudit() {
  const { items } = await door.store.audit.list({})
  return items.filter(({ action }) => action === 'gc').map(({ actor, data }) => ({ actor, data }))
}

describe('belay gc', () => {
  test('tells with --dry-run what would go, how much and why, and removes nothing', async () => {
    const [old, young] = [await endedRun(91), await endedRun(89)]
    const io = testIo({ cwd: door.directory, env: { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('admin') } })
    await runProgram(['gc', '--dry-run'], io)
    expect(io.result).toMatchObject({ code: 0, err: '' })
    expect(io.result.out).toMatch(/WOULD GO +COUNT +SIZE +WHY\nlogs +1 +5 B +of runs that ended over 90 d ago\n/)
    expect([await logsOf(old), await logsOf(young)]).toEqual([1, 1])
    expect(await gcAudit()).toEqual([])
  })

  test('removes it, and is one row of the audit', async () => {
    const [old, young] = [await endedRun(91), await endedRun(89)]
    const io = testIo({
      cwd: door.directory,
      env: { BELAY_URL: await door.listen(), BELAY_TOKEN: await door.token('admin', 'ana') },
    })
    await runProgram(['gc', '--json'], io)
    expect(JSON.parse(io.result.out)).toEqual({
      items: [{ kind: 'logs', count: 1, bytes: 5, why: 'of runs that ended over 90 d ago' }],
    })
    expect([await logsOf(old), await logsOf(young)]).toEqual([0, 1])
    expect(await gcAudit()).toEqual([{ actor: 'token:ana', data: { logs: { count: 1, bytes: 5 } } }])
  })

  test('is for admins', async () => {
    const approver = await door.client('approver')
    await expect(approver.previewGc()).rejects.toMatchObject({ code: 'forbidden' })
    await expect(approver.runGc()).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('says that another server is at it, and does nothing', async () => {
    const old = await endedRun(91)
    await door.store.housekeeping.lease({ owner: 'another', leaseMs: 60_000 })
    await expect((await door.client()).runGc()).rejects.toMatchObject({ code: 'conflict', hint: expect.any(String) as string })
    expect(await logsOf(old)).toBe(1)
  })
})

describe('a clean-up', () => {
  test('that is told to stop stops between two batches, says so, and gives its turn back', async () => {
    for (let n = 0; n < 3; n += 1) await endedRun(400, `run ${String(n)}`)
    const { store, config, log } = door
    const stopped = await cleanUp({ store, config, log }, { actor: 'belay', signal: AbortSignal.abort() })
    expect(stopped.more).toBe(true)
    const rest = await cleanUp({ store, config, log }, { actor: 'belay', signal: new AbortController().signal })
    expect(rest).toMatchObject({ more: false, swept: expect.arrayContaining([{ kind: 'runs', count: 3, bytes: 0 }]) as unknown })
  })

  test('that is told to stop does so also where nothing is to be removed', async () => {
    await endedRun(1)
    const { store, config, log } = door
    const stopped = await cleanUp({ store, config, log }, { actor: 'belay', signal: AbortSignal.abort() })
    expect(stopped).toEqual({ swept: [], more: true })
  })

  test.each([
    ['that breaks off says why', 'the disk broke', new Error('the disk broke')],
    ['that has done its work', 'the audit cannot be written', undefined],
  ])('%s, and gives its turn back, though the audit cannot be written', async (_, message, broken) => {
    const { store, config, log } = door
    const failing: Store = {
      ...store,
      audit: { ...store.audit, write: () => Promise.reject(new Error('the audit cannot be written')) },
      housekeeping: {
        ...store.housekeeping,
        async *sweep() {
          yield await Promise.resolve({ kind: 'logs' as const, count: 1, bytes: 1 })
          if (broken !== undefined) throw broken
        },
      },
    }
    const signal = new AbortController().signal
    await expect(cleanUp({ store: failing, config, log }, { actor: 'a', signal })).rejects.toThrow(message)
    expect(await store.housekeeping.lease({ owner: 'the next one', leaseMs: 1 })).toBe(true)
  })

  test('comes by itself, and again and again', async () => {
    const first = await endedRun(91, 'first')
    const { store, config, log } = door
    const cleaning = startCleanUp({ store, config, log, times: { firstAfterMs: 1, everyMs: 1 } })
    await until('the first log is gone', async () => (await logsOf(first)) === 0)
    const second = await endedRun(91, 'second')
    await until('the second log is gone', async () => (await logsOf(second)) === 0)
    await cleaning.stop()
    expect((await gcAudit()).map(({ actor }) => actor)).toEqual(['belay', 'belay'])
  })

  test('keeps as long as the configuration says', async () => {
    const old = await endedRun(91)
    const config = { ...door.config, keep: { ...defaults.keep, logsMs: 92 * dayMs } }
    const { store, log } = door
    expect((await cleanUp({ store, config, log }, { actor: 'a', signal: new AbortController().signal })).swept).toEqual([])
    expect(await logsOf(old)).toBe(1)
  })

  test('of one kind only leaves the others, and waits for nobody', async () => {
    const old = await endedRun(91)
    await door.store.housekeeping.lease({ owner: 'another', leaseMs: 60_000 })
    const { store, config, log } = door
    const signal = new AbortController().signal
    expect(await cleanUp({ store, config, log, only: ['images'] }, { actor: 'a', signal })).toEqual({ swept: [], more: false })
    expect(await logsOf(old)).toBe(1)
  })

  test('leaves releases that cannot be deployed any more, which is said before anything is tried', async () => {
    const digest = await releaseOf(await endedRun(31))
    const { store, config, log } = door
    await cleanUp({ store, config, log }, { actor: 'a', signal: new AbortController().signal })
    const deploy = (await door.client()).deploy('staging', { release: digest })
    await expect(deploy).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('was cleaned up') as string,
    })
  })
})
