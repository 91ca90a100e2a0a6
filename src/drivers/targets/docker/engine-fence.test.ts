/* Long, because each place to fall asleep in is one case, and all need the same engine, registry and keeper.
 * Several owners on one engine: each older one falls asleep just before one of its commands, and wakes when a newer one is done.
 * They sleep in a `docker` of their own, a script that waits before it becomes the real one.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ensureBaseImages } from '../../../../test/helpers/base-images.ts'
import { pushAppImage, sweepEnvironment, sweepImages } from '../../../../test/helpers/docker-app-image.ts'
import { engineMissing } from '../../../../test/helpers/engine.ts'
import { startKeeperEdge, type KeeperEdge } from '../../../../test/helpers/keeper-edge.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../../../test/helpers/registry.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { until } from '../../../../test/helpers/until.ts'
import type { ReleaseRef } from '../../../domain/release.ts'
import type { Image } from '../../../domain/step.ts'
import type { EdgeControl } from '../edge-control.ts'
import type { Target } from '../target.ts'
import { placeName } from './container-name.ts'
import { createDockerTarget } from './docker-target.ts'

const missing = engineMissing() ?? registryMissing()
const images = new Map<string, Image>()
let registry: RunningRegistry
let directory: string
let environment: string
let edge: KeeperEdge
/** The older owner's `docker`. */
let sleepy: SleepyDocker
let older: Target
let newer: Target

beforeAll(async () => {
  if (missing !== undefined) return
  ;[registry] = await Promise.all([startRegistry(), ensureBaseImages()])
  for (const version of ['1', '2', '3']) images.set(version, await pushAppImage(registry, { version }))
}, 180_000)
afterAll(async () => {
  if (registry === undefined) return
  await sweepImages(registry)
  await registry.stop()
})

beforeEach(async () => {
  skipUnless(missing === undefined, missing ?? '')
  directory = mkdtempSync(join(tmpdir(), 'belay-fence-'))
  environment = `test-${randomBytes(4).toString('hex')}`
  edge = await startKeeperEdge(directory, environment)
  sleepy = await makeSleepyDocker(join(directory, 'older'))
  older = makeTarget(sleepy.path)
  newer = makeTarget(process.env['PATH'] ?? '')
})
afterEach(async () => {
  if (directory === undefined) return
  await edge?.stop()
  // Whoever sleeps still ends with an error of its own.
  rmSync(directory, { recursive: true, force: true })
  await sweepEnvironment(placeName(environment, 'test'))
})

interface SleepyDocker {
  /** The PATH on which it is found. */
  path: string
  /** `container rename 1`: before its second rename. */
  sleepBefore(point: string): void
  asleep(): Promise<true>
  wake(): void
}

async function makeSleepyDocker(room: string): Promise<SleepyDocker> {
  const { stdout: real } = await execa('sh', ['-c', 'command -v docker'])
  mkdirSync(join(room, 'bin'), { recursive: true })
  const script = `#!/bin/sh
n=0
while ! mkdir "$ROOM/$1 $2 $n" 2>/dev/null; do
  [ -d "$ROOM" ] || exit 1
  n=$((n + 1))
done
if [ -e "$ROOM/sleep before $1 $2 $n" ]; then
  : > "$ROOM/asleep"
  while [ ! -e "$ROOM/wake" ]; do
    [ -d "$ROOM" ] || exit 1
    sleep 0.05
  done
fi
exec "$REAL" "$@"
`
  const [head, ...rest] = script.split('\n')
  const settings = [`ROOM='${room}'`, `REAL='${real}'`]
  writeFileSync(join(room, 'bin', 'docker'), [head, ...settings, ...rest].join('\n'), { mode: 0o755 })
  return {
    path: `${join(room, 'bin')}:${process.env['PATH'] ?? ''}`,
    sleepBefore(point) {
      writeFileSync(join(room, `sleep before ${point}`), '')
    },
    asleep: () => until('the older owner sleeps', () => existsSync(join(room, 'asleep')) || undefined),
    wake() {
      writeFileSync(join(room, 'wake'), '')
    },
  }
}

function makeTarget(path: string, control = edge.control): Target {
  return createDockerTarget({
    edge: control,
    scope: 'test',
    environments: { [environment]: { engine: { address: '127.0.0.1' }, instances: 1, pids: 64 } },
    registries: { main: registry.access },
    directory: join(directory, 'target'),
    env: { PATH: path, HOME: process.env['HOME'] ?? '/', DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' },
    resolveEnv: () => Promise.resolve({}),
  })
}

const operation = (fence: number, operationId = `operation ${String(fence)}`) => ({ environment, fence, operationId })
const beside = { alone: false }

function digestOf(version: string): string {
  return releaseOf(version).image.digest
}

function releaseOf(version: string): ReleaseRef {
  const image = images.get(version)
  if (image === undefined) throw new Error(`no image of ${version}`)
  return { id: `release-${version}`, project: 'shop', number: 1, version, sha: 'c'.repeat(40), runId: 'run', image }
}

async function deploy(version: string, fence: number): Promise<void> {
  await newer.stage(operation(fence), releaseOf(version), beside)
  await newer.activate(operation(fence + 1), digestOf(version))
}

/** Version, state and short name of each container, those on their way out included. */
async function listAll(): Promise<string[]> {
  const format = '{{.Label "belay.release"}} {{.State}}'
  const filter = `label=belay.environment=${placeName(environment, 'test')}`
  const { stdout } = await execa('docker', ['container', 'ls', '--all', '--filter', filter, '--format', format])
  return stdout.split('\n').filter((line) => line !== '').sort() // prettier-ignore
}

/** What became of a call that somebody else will wake. */
function outcome(call: Promise<unknown>): Promise<unknown> {
  return call.then(() => 'done', (error: unknown) => error) // prettier-ignore
}

const staleError = expect.objectContaining({ code: 'stale', retryable: false }) as unknown

describe('an older owner that slept', () => {
  const stagePoints = ['volume create 0', 'container rename 0', 'container create 0', 'container start 0']
  test.each(stagePoints)('before `docker %s` of its stage starts nothing beside what must run alone', async (point) => {
    await newer.stage(operation(1), releaseOf('1'), beside)
    sleepy.sleepBefore(point)
    const staged = outcome(older.stage(operation(2), releaseOf('2'), beside))
    await sleepy.asleep()
    await newer.stage(operation(3), releaseOf('3'), { alone: true })
    sleepy.wake()
    expect(await staged).toEqual(staleError)
    expect(await listAll()).toEqual(['release-3 running'])
    expect(await newer.observe(environment)).toEqual({ running: [digestOf('3')], fence: 3 })
  })

  const retirePoints = ['container rename 0', 'container rename 2', 'container stop 0', 'container rm 0']
  test.each(retirePoints)('before `docker %s` of its retire stops nothing that serves now', async (point) => {
    await deploy('1', 1)
    await newer.stage(operation(3), releaseOf('2'), beside)
    sleepy.sleepBefore(point)
    const retired = outcome(older.retire(operation(4)))
    await sleepy.asleep()
    await deploy('2', 5)
    sleepy.wake()
    // What was taken out of service before the newer one came may still be stopped; all else is refused.
    expect(await retired).toEqual(/stop|rm/.test(point) ? 'done' : staleError)
    expect(await newer.observe(environment)).toEqual({ running: expect.arrayContaining([digestOf('1'), digestOf('2')]) as unknown, servingDigest: digestOf('2'), fence: 6 }) // prettier-ignore
    await newer.retire(operation(7))
    expect(await listAll()).toEqual(['release-2 running'])
  })

  test.each(['container rename 0', 'container update 0'])(
    'before `docker %s` of its activate gives traffic to nothing',
    async (point) => {
      await newer.stage(operation(1), releaseOf('1'), beside)
      sleepy.sleepBefore(point)
      const activated = outcome(older.activate(operation(2), digestOf('1')))
      await sleepy.asleep()
      await newer.clear(operation(3))
      sleepy.wake()
      expect(await activated).toEqual(staleError)
      expect(await listAll()).toEqual([])
      expect(await newer.observe(environment)).toEqual({ running: [], fence: 3 })
    },
  )

  test('just before its switch is refused by the keeper, though the newer one has only staged', async () => {
    await deploy('1', 1)
    await newer.stage(operation(3), releaseOf('2'), beside)
    let reached = (): void => undefined
    let wake = (): void => undefined
    const asleep = new Promise<void>((resolve) => (reached = resolve))
    const awake = new Promise<void>((resolve) => (wake = resolve))
    const slow: EdgeControl = {
      ...edge.control,
      async route(...call) {
        reached()
        await awake
        return edge.control.route(...call)
      },
    }
    const activated = outcome(makeTarget(process.env['PATH'] ?? '', slow).activate(operation(4), digestOf('2')))
    await asleep
    await newer.stage(operation(5), releaseOf('3'), beside)
    wake()
    expect(await activated).toEqual(staleError)
    expect(await newer.observe(environment)).toMatchObject({ servingDigest: digestOf('1'), fence: 5 })
  })
})

describe('an operation that was cut off for ever', () => {
  test.each(['container rename 0', 'container create 0', 'container start 0'])(
    'before `docker %s` of its stage is done by its repeat, once',
    async (point) => {
      await newer.stage(operation(1), releaseOf('1'), beside)
      sleepy.sleepBefore(point)
      const first = outcome(older.stage(operation(2), releaseOf('2'), beside))
      await sleepy.asleep()
      await newer.stage(operation(2), releaseOf('2'), beside)
      expect(await listAll()).toEqual(['release-1 running', 'release-2 running'])
      const before = await newer.listInstances(environment, digestOf('2'))
      // And if it was only asleep, it adds nothing.
      sleepy.wake()
      expect(await first).toBe('done')
      expect(await newer.listInstances(environment, digestOf('2'))).toEqual(before)
    },
  )

  test.each(['container rename 0', 'container rename 2', 'container stop 0', 'container rm 0'])(
    'before `docker %s` of its retire is done by its repeat',
    async (point) => {
      await deploy('1', 1)
      await newer.stage(operation(3), releaseOf('2'), beside)
      sleepy.sleepBefore(point)
      const first = outcome(older.retire(operation(4)))
      await sleepy.asleep()
      await newer.retire(operation(4))
      expect(await listAll()).toEqual(['release-1 running'])
      sleepy.wake()
      expect(await first).toBe('done')
      expect(await newer.observe(environment)).toEqual({ running: [digestOf('1')], servingDigest: digestOf('1'), fence: 4 })
    },
  )
})

describe('numbers', () => {
  test('lower ones are refused by every changing call, also when no container is left', async () => {
    await deploy('1', 5)
    await newer.clear(operation(7))
    expect(await outcome(older.stage(operation(6), releaseOf('2'), beside))).toEqual(staleError)
    expect(await outcome(older.activate(operation(6), digestOf('1')))).toEqual(staleError)
    expect(await outcome(older.retire(operation(6)))).toEqual(staleError)
    expect(await outcome(older.clear(operation(6)))).toEqual(staleError)
    expect(await listAll()).toEqual([])
    expect(await older.observe(environment)).toEqual({ running: [], fence: 7 })
  })

  test('are remembered though all unused volumes and all that the keeper knew were removed', async () => {
    await newer.stage(operation(8), releaseOf('1'), beside)
    const filter = `label=belay.environment=${placeName(environment, 'test')}`
    await execa('docker', ['volume', 'prune', '--force', '--filter', filter])
    const fresh = await startKeeperEdge(join(directory, 'fresh'), environment)
    try {
      const other = makeTarget(process.env['PATH'] ?? '', fresh.control)
      expect(await outcome(other.clear(operation(7)))).toEqual(staleError)
      expect(await other.observe(environment)).toEqual({ running: [digestOf('1')], fence: 8 })
    } finally {
      await fresh.stop()
    }
  })

  test('a repeat of an activation is answered as the first time, whatever has died since', async () => {
    await deploy('1', 1)
    await newer.stage(operation(3), releaseOf('2'), beside)
    const answer = { previousDigest: digestOf('1') }
    expect(await newer.activate(operation(4), digestOf('2'))).toEqual(answer)
    const [instance] = await newer.listInstances(environment, digestOf('2'))
    await execa('docker', ['kill', instance?.id ?? ''])
    expect(await older.activate(operation(4), digestOf('2'))).toEqual(answer)
  })

  test('the same operation, twice at once, starts one container', async () => {
    const twice = [older, newer].map((target) => target.stage(operation(1), releaseOf('1'), beside))
    await Promise.all(twice)
    expect(await listAll()).toEqual(['release-1 running'])
  })

  test('of two at once the higher one has its way, and the lower one ends before it or is refused', async () => {
    const [lower, higher] = await Promise.all([
      outcome(older.stage(operation(1), releaseOf('1'), beside)),
      outcome(newer.stage(operation(2), releaseOf('2'), { alone: true })),
    ])
    expect(higher).toBe('done')
    expect(['done', 'stale']).toContain(lower === 'done' ? lower : (lower as { code: string }).code)
    expect(await listAll()).toEqual(['release-2 running'])
  })
})
