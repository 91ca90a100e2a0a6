import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cgroupsMissing, openTestGroups, type TestGroups } from '../../test/helpers/cgroups.ts'
import { skipUnless } from '../../test/helpers/skips.ts'
import { until } from '../../test/helpers/until.ts'
import { openStepGroups, type StepGroup } from './cgroup.ts'
import type { StepLimits } from './cgroup-limits.ts'
import { findCgroups, type Cgroups } from './find-cgroups.ts'
import { findIdentity } from './identity.ts'
import { spawnProcess, type Spawned } from './spawn.ts'

let place: string
let opened: TestGroups | undefined
let output: string
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'belay-cgroup-'))
  output = ''
})
afterEach(async () => {
  rmSync(place, { recursive: true, force: true })
  await opened?.end()
  opened = undefined
})

/** `kill`: by which of the hierarchies a group is killed. */
function createGroup(limits: StepLimits = {}, kill?: Cgroups['kill']): StepGroup {
  const missing = cgroupsMissing()
  skipUnless(missing === undefined, missing ?? '')
  const cgroups = findCgroups()
  opened = openTestGroups(limits, kill === undefined ? cgroups : { ...cgroups, kill })
  return opened.groups.create('step')
}

async function run(script: string, group: StepGroup): Promise<Spawned> {
  return await spawnProcess({
    file: 'sh',
    args: ['-c', script],
    cwd: place,
    env: { PATH: process.env['PATH'] ?? '' },
    output: (chunk) => (output += chunk.toString()),
    group,
  })
}

/** The pid that the script has put into a file. */
async function pidIn(name: string): Promise<number> {
  const file = join(place, name)
  return await until(`${name} is written`, () => existsSync(file) && (Number(readFileSync(file, 'utf8')) || undefined))
}

/** One that nobody finds by its group, session, parent or environment. */
const daemon = `(env -i PATH="$PATH" setsid nohup sh -c 'trap "" TERM HUP; echo $$ > daemon; while :; do sleep 1; done' >/dev/null 2>&1 &)`

describe('a group', () => {
  it('holds a daemon that was forked twice, and ends it although it ignores SIGTERM', async () => {
    const group = createGroup()
    const child = await run(`${daemon}; exit 0`, group)
    await child.done
    const pid = await pidIn('daemon')
    expect(group.members()).toContain(pid)
    await child.stop(100)
    expect(findIdentity(pid)).toBeUndefined()
    expect(group.members()).toEqual([])
  })

  it('asks what has left the process group with SIGTERM before it kills', async () => {
    const group = createGroup()
    const script = `setsid sh -c 'trap "echo tidied > tidied; exit" TERM; echo $$ > daemon; while :; do sleep 0.05; done' & wait`
    const child = await run(script, group)
    await pidIn('daemon')
    await child.stop(20_000)
    expect(readFileSync(join(place, 'tidied'), 'utf8')).toBe('tidied\n')
    expect(group.members()).toEqual([])
  })

  it('is removed at its end, with groups that its processes have made in it', async () => {
    const group = createGroup()
    const [parent = ''] = opened?.groups.parents ?? []
    const child = await run(`exec sleep 600`, group)
    const inner = join(parent, 'step', 'inner', 'deeper')
    mkdirSync(inner, { recursive: true })
    writeFileSync(join(inner, 'cgroup.procs'), String(child.pid))
    expect(group.members()).toEqual([child.pid])
    await group.end()
    expect(existsSync(join(parent, 'step'))).toBe(false)
    expect(await child.done).toMatchObject({ signal: 'SIGKILL' })
    await group.end()
  })

  it('that cannot be entered lets nothing begin', async () => {
    const group = createGroup()
    await group.end()
    await expect(run('touch begun', group)).rejects.toMatchObject({ code: 'unavailable' })
    expect(existsSync(join(place, 'begun'))).toBe(false)
  })

  it('refuses a program that is not there', async () => {
    const group = createGroup()
    const started = spawnProcess({ file: 'no-such-program', args: [], cwd: place, env: { PATH: '/usr/bin' }, group })
    await expect(started).rejects.toMatchObject({ code: 'refused' })
    expect(group.members()).toEqual([])
  })
})

/** Each way of killing a whole group that this machine has: by the kernel, frozen, or with forks forbidden. */
describe.each(['v2', 'freezer', 'pids'] as const)('killed by %s', (way) => {
  function findHierarchy(): Cgroups['kill'] {
    const { kill, pids } = findCgroups()
    if (way === 'v2') return kill?.version === 2 ? kill : undefined
    if (pids?.version !== 1) return undefined
    const directory = pids.directory.replace('/pids', `/${way}`)
    return existsSync(directory) ? { version: 1, directory, controllers: [way] } : undefined
  }

  it('leaves nothing of a program that forks and forks while it is killed', async () => {
    const hierarchy = findHierarchy()
    skipUnless(hierarchy !== undefined, `this machine has no cgroups of ${way} at a place that is known`)
    const group = createGroup({ pids: 300 }, hierarchy)
    const child = await run(
      `trap '' TERM; while :; do (setsid sh -c 'sleep 0.2; setsid sleep 600 &' &) ; done 2>/dev/null`,
      group,
    )
    await until('it has forked a lot', () => group.members().length > 100)
    await child.stop(0)
    expect(group.members()).toEqual([])
    await group.end()
    const parents = opened?.groups.parents ?? []
    expect(parents).not.toEqual([])
    for (const parent of parents) expect(existsSync(join(parent, 'step'))).toBe(false)
  })
})

describe('a limit', () => {
  it('of processes bounds a fork bomb, and says so', async () => {
    const group = createGroup({ pids: 32 })
    expect(group.struckLimits()).toEqual([])
    const child = await run(`bomb() { bomb | bomb & }; bomb; sleep 600`, group)
    await until('the limit is reached', () => group.struckLimits().length > 0)
    expect(group.members().length).toBeLessThanOrEqual(32)
    expect(group.struckLimits()).toEqual([
      { limit: 'pids', message: 'could not start more processes: the limit of 32 processes was reached' },
    ])
    await child.stop(0)
    expect(group.members()).toEqual([])
  })

  it('of memory ends what wants more, and says so', async () => {
    const group = createGroup({ memoryBytes: 64 * 1024 ** 2 })
    const child = await run(`exec node -e 'Buffer.alloc(400e6, 1)'`, group)
    expect(await child.done).toMatchObject({ signal: 'SIGKILL' })
    expect(group.struckLimits()).toEqual([{ limit: 'memory', message: 'killed: used more than its 64 MiB of memory' }])
  })

  it.each(['pids', 'memory'] as const)('that was not reached says nothing, also after a kill by %s', async (way) => {
    const group = createGroup({ memoryBytes: 64 * 1024 ** 2, pids: 32 }, findCgroups()[way])
    const child = await run(`trap '' TERM; echo ready; while :; do sleep 0.01; done`, group)
    await until('it does not heed SIGTERM', () => output.includes('ready'))
    await child.stop(0)
    expect(await child.done).toMatchObject({ signal: 'SIGKILL' })
    expect(group.struckLimits()).toEqual([])
  })

  it.each([{ pids: 32 }, { memoryBytes: 64 * 1024 ** 2 }])('%o is refused where it cannot be kept, with why', (limits) => {
    const cgroups: Cgroups = { kind: 'none', obstacles: ['/cg cannot be written to'] }
    expect(() => openStepGroups({ cgroups, id: '0'.repeat(12), limits })).toThrow(
      expect.objectContaining({
        code: 'missing_part',
        message: expect.stringContaining('cannot be enforced here: /cg cannot be written to') as string,
        hint: expect.stringContaining('Delegate=yes') as string,
      }),
    )
    expect(openStepGroups({ cgroups, id: '0'.repeat(12), limits: {} })).toBeUndefined()
  })
})
