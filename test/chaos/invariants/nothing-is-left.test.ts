import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, describe, expect, it } from 'vitest'
import type { EnvironmentRecord } from '../../../src/embedded/keeper/keeper-state.ts'
import { findIdentity } from '../../../src/process/identity.ts'
import { tagVariable } from '../../../src/runner/leftovers.ts'
import type { Run } from '../../../src/store/store.ts'
import { engineMissing } from '../../helpers/engine.ts'
import { skipUnless } from '../../helpers/skips.ts'
import { until } from '../../helpers/until.ts'
import type { EnvironmentMemory } from '../memory.ts'
import { listeningPorts } from '../processes.ts'
import { nothingIsLeft } from './nothing-is-left.ts'
import { linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()
const ends: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function judge(small: SmallWorld, environments: EnvironmentMemory[] = []): Promise<string[]> {
  return linesOf((await nothingIsLeft({ ...(await small.remember()), environments })).violations)
}

async function ended(): Promise<{ small: SmallWorld; run: Run }> {
  const small = await openWorld()
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  await small.carryOut(run)
  return { small, run }
}

/** A process that lives until the test has ended. */
async function live(
  small: SmallWorld,
  environment: Record<string, string>,
  options: { inside?: boolean; listens?: boolean } = {},
): Promise<ChildProcess> {
  const listens =
    options.listens === true
      ? `require('node:http').createServer().listen(0, '127.0.0.1', () => console.log('up'))`
      : `console.log('up'); setInterval(() => {}, 1000)`
  const env = { PATH: process.env['PATH'], ...environment }
  const child = spawn(process.execPath, ['-e', listens], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    cwd: options.inside === true ? small.world.directory : '/',
  })
  ends.push(async () => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  await once(child.stdout ?? child, 'data')
  return child
}

const flags = { activated: true, stopping: false, parked: false, restarts: 0, startedAt: 1, port: 1, log: 'log' }
const instance = (id: string, digest: string, alive = true) => {
  const identity = findIdentity(process.pid)
  if (identity === undefined) throw new Error('we are not alive')
  return {
    id,
    digest,
    directory: 'app',
    workingDirectory: 'app',
    command: ['app'],
    ...flags,
    identity: alive ? identity : { ...identity, startTime: '1' },
  }
}
const environment = (...instances: EnvironmentRecord['instances']): EnvironmentMemory => {
  const keeper = { fence: 1, answered: [], instances, active: 'sha256:a', upstreams: [] }
  return { name: 'production', fence: 1, deployments: [], owner: { silent: '' }, edge: { silent: '' }, keeper }
}

it('nothing to say of a run that has ended and left nothing but its logs', async () => {
  const { small } = await ended()
  const finding = await nothingIsLeft(await small.remember())
  expect(linesOf(finding.violations)).toEqual([])
  for (const part of ['processes', 'cgroups', 'mounts', 'files', 'scratch'])
    expect(finding.looked[`I5 ${part}`], part).toBeGreaterThan(0)
})

describe('processes', () => {
  it('one with the tag of an ended run is left; with the tag of one that goes on, or of a stranger, it is not', async () => {
    const { small, run } = await ended()
    const [goesOn] = await small.deliver()
    await live(small, { [tagVariable]: `${String(goesOn?.id)}/1` }, { inside: true })
    await live(small, { [tagVariable]: '0a0a0a0a-0000-4000-8000-000000000000/1' })
    const left = await live(small, { [tagVariable]: `${run.id}/1` })
    const said = await judge(small)
    expect(said).toHaveLength(1)
    expect(said.join()).toContain(`I5 process ${String(left.pid)}: carries the tag of run ${run.id}, which has ended: `)
  })

  it('one that works in the directory of the world and belongs to no part is left, and its port is named', async () => {
    const { small } = await ended()
    const stray = await live(small, {}, { inside: true, listens: true })
    expect((await judge(small)).join()).toMatch(
      new RegExp(`I5 process ${String(stray.pid)}: works in .*, and belongs to no part: .*it listens on \\d+`),
    )
    small.world.processes = () => [{ part: 'runner-a', pid: Number(stray.pid) }]
    expect(await judge(small)).toEqual([])
  })

  it('a part of the world is no leftover, nor is its child', async () => {
    const { small } = await ended()
    const program = `const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' }); console.log(child.pid); setInterval(() => {}, 1000)`
    const part = spawn(process.execPath, ['-e', program], { cwd: small.world.directory, stdio: ['ignore', 'pipe', 'ignore'] })
    const [text] = (await once(part.stdout, 'data')) as [Buffer]
    const child = Number(text.toString())
    ends.push(async () => {
      process.kill(child, 'SIGKILL')
      part.kill('SIGKILL')
      await until('both are gone', () => findIdentity(child) === undefined && part.signalCode !== null)
    })
    small.world.processes = () => [{ part: 'runner-a', pid: Number(part.pid) }]
    expect(await judge(small)).toEqual([])
  })

  it('an instance that the keeper does not know is left', async () => {
    const { small } = await ended()
    const stray = await live(small, { BELAY_INSTANCE: 'i9' }, { inside: true })
    expect((await judge(small)).join()).toContain(
      `I5 process ${String(stray.pid)}: is the instance i9, which the keeper does not know`,
    )
  })
})

describe('ports', () => {
  const portOf = async (child: ChildProcess) => {
    const [port] = await until('it listens', () => [listeningPorts(Number(child.pid))].find(({ length }) => length > 0))
    return Number(port)
  }

  it('a part listens where it is to, or where it likes if nobody says; a step of an ended run nowhere', async () => {
    const { small, run } = await ended()
    const part = await live(small, {}, { inside: true, listens: true })
    small.world.processes = () => [{ part: 'server-a', pid: Number(part.pid) }]
    expect(await judge(small)).toEqual([])
    small.world.ports = { 'server-a': [await portOf(part)] }
    expect(await judge(small)).toEqual([])
    small.world.ports = { 'server-a': [1] }
    expect((await judge(small)).join()).toMatch(
      new RegExp(
        `^I5 port ${String(await portOf(part))}: is held by process ${String(part.pid)}, which is not to listen there: `,
      ),
    )
    small.world.ports = {}
    const step = await live(small, { [tagVariable]: `${run.id}/1` }, { listens: true })
    const port = await portOf(step)
    expect((await judge(small)).join()).toContain(`I5 port ${String(port)}: is held by process ${String(step.pid)}`)
  })

  it('of an environment the instance that serves listens, and no other', async () => {
    const { small } = await ended()
    const app = await live(small, { BELAY_INSTANCE: 'i1' }, { inside: true, listens: true })
    const identity = findIdentity(Number(app.pid))
    if (identity === undefined) throw new Error('it is not alive')
    const said = async (active: string) => {
      const made = environment({ ...instance('i1', 'sha256:a'), identity })
      const keeper = { fence: 1, answered: [], upstreams: [], instances: made.keeper?.instances ?? [], active }
      return (await judge(small, [{ ...made, keeper }])).filter((line) => line.startsWith('I5 port'))
    }
    expect(await said('sha256:a')).toEqual([])
    expect((await said('sha256:b')).join()).toContain(`is held by process ${String(app.pid)}`)
  })
})

describe('files', () => {
  it.each(['workspaces/ID/checkout', 'workspaces/.removing-ID', 'runner/journal/ID', 'runner/spool/ID/plan/build'])(
    '%s is left',
    async (place) => {
      const { small, run } = await ended()
      mkdirSync(join(small.world.directory, place.replace('ID', run.id)), { recursive: true })
      const said = await judge(small)
      expect(said).toHaveLength(1)
      expect(said.join()).toContain(`is of run ${run.id}, which has ended`)
    },
  )

  it('what its runner sweeps in time is not', async () => {
    const { small, run } = await ended()
    const directory = join(small.world.directory, 'runner/journal', run.id)
    mkdirSync(directory)
    const sweeping = setTimeout(() => rmdirSync(directory), 500)
    const memory = await small.remember()
    expect(linesOf((await nothingIsLeft(memory, { sweptWithinMs: 60_000 })).violations)).toEqual([])
    clearTimeout(sweeping)
  })

  it('those of a run that goes on are not', async () => {
    const { small } = await ended()
    const [goesOn] = await small.deliver()
    mkdirSync(join(small.world.directory, 'workspaces', String(goesOn?.id)))
    expect(await judge(small)).toEqual([])
  })

  it('what a build keeps while it lasts is left', async () => {
    const { small } = await ended()
    mkdirSync(join(small.world.directory, 'runner/scratch/build-x1'), { recursive: true })
    expect((await judge(small)).join()).toContain('runner/scratch/build-x1: is kept only while a build lasts')
  })
})

describe('the machine', () => {
  it('a cgroup of an ended run is left', async () => {
    const base = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup'].find((place) => existsSync(join(place, 'cgroup.procs')))
    skipUnless(process.getuid?.() === 0 && base !== undefined, 'only root makes cgroups, and only where they are mounted')
    const { small, run } = await ended()
    const parent = join(String(base), `belay-test-${String(process.pid)}`)
    ends.push(() => Promise.resolve([join(parent, run.id), parent].forEach((place) => rmdirSync(place))))
    mkdirSync(parent)
    mkdirSync(join(parent, run.id))
    expect(await judge(small)).toEqual([`I5 cgroup ${join(parent, run.id)}: of run ${run.id}, which has ended`])
  })

  it('a container of an ended run is left', async () => {
    const missing = engineMissing()
    skipUnless(missing === undefined, missing ?? '')
    const { small, run } = await ended()
    const image = `belay-chaos-test:${String(process.pid)}`
    // An image of nothing: it is never started.
    const empty = join(small.world.directory, 'empty.tar')
    writeFileSync(empty, Buffer.alloc(1024))
    await execa('docker', ['image', 'import', '--', empty, image])
    ends.push(() => execa('docker', ['image', 'rm', '--', image]))
    const { stdout: id } = await execa('docker', [
      'container',
      'create',
      '--label',
      `belay.run=${run.id}`,
      '--',
      image,
      'nothing',
    ])
    ends.push(() => execa('docker', ['container', 'rm', '--', id]))
    const said = await judge(small)
    expect(said).toHaveLength(1)
    expect(said.join()).toContain(`I5 container ${id.slice(0, 12)}: of run ${run.id}, which has ended`)
  })

  it('a mount below the world is left', async () => {
    skipUnless(process.getuid?.() === 0, 'only root mounts')
    const { small } = await ended()
    const place = join(small.world.directory, 'a disk')
    mkdirSync(place)
    const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', place], { reject: false })
    skipUnless(mounted.exitCode === 0, 'this machine lets nobody mount')
    ends.push(() => execa('umount', [place]))
    expect(await judge(small)).toEqual([`I5 mount ${place}: of tmpfs, is still there`])
    small.world.mounts = [place]
    expect(await judge(small)).toEqual([])
  })
})

describe('instances', () => {
  it.each<[string, EnvironmentMemory, string[]]>([
    ['the one that serves', environment(instance('i1', 'sha256:a')), []],
    [
      'one more, of an older release',
      environment(instance('i1', 'sha256:a'), instance('i0', 'sha256:b')),
      ['I5 environment production: the keeper still has the instance i0 of sha256:b; sha256:a serves'],
    ],
    [
      'two of the same release',
      environment(instance('i1', 'sha256:a'), instance('i2', 'sha256:a')),
      ['I5 environment production: the release that serves has 2 instances: i1, i2'],
    ],
    [
      'one that is dead',
      environment(instance('i1', 'sha256:a', false)),
      ['I5 environment production: the instance i1, which is to serve, is not alive'],
    ],
  ])('%s', async (_, memory, said) => {
    const { small } = await ended()
    expect(await judge(small, [memory])).toEqual(said)
  })

  it('the variables of an instance that is gone are left', async () => {
    const { small } = await ended()
    const directory = join(small.world.places.keeper, 'env')
    mkdirSync(directory)
    for (const id of ['i0', 'i1']) writeFileSync(join(directory, `${id}.json`), '{}')
    expect(await judge(small, [environment(instance('i1', 'sha256:a'))])).toEqual([
      `I5 ${join(directory, 'i0.json')}: holds the variables of an instance that is gone`,
    ])
  })
})
