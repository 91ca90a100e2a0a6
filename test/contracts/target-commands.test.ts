/** What holds for a command of a release on every target that can run one. A new target needs a rig here. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReleaseRef } from '../../src/domain/release.ts'
import { createDockerTarget } from '../../src/drivers/targets/docker/docker-target.ts'
import { placeName } from '../../src/drivers/targets/docker/container-name.ts'
import { targets } from '../../src/drivers/targets/index.ts'
import { createProcessTarget } from '../../src/drivers/targets/process/process-target.ts'
import type { CommandEnd, Target } from '../../src/drivers/targets/target.ts'
import { startKeeper } from '../../src/embedded/keeper/keeper.ts'
import { findTagged } from '../../src/process/identity.ts'
import { ensureBaseImages } from '../helpers/base-images.ts'
import { pushAppImage, sweepEnvironment, sweepImages } from '../helpers/docker-app-image.ts'
import { engineMissing } from '../helpers/engine.ts'
import { startKeeperEdge } from '../helpers/keeper-edge.ts'
import { endKeeper } from '../helpers/keeper-process.ts'
import { writeImage } from '../helpers/oci-image.ts'
import { registryMissing, startRegistry } from '../helpers/registry.ts'
import { openDirectory, sampleProgram } from '../helpers/sample-app.ts'
import { skipUnless } from '../helpers/skips.ts'
import { until } from '../helpers/until.ts'
import { execa } from 'execa'

interface Rig {
  target: Target
  release: ReleaseRef
  /** Are commands of this environment running? */
  isBusy(): Promise<boolean>
  stop(): Promise<void>
}

const secret = 'canary-of-a-secret'
const environment = `command-${randomBytes(4).toString('hex')}`

const releaseOf = (image: ReleaseRef['image']): ReleaseRef => ({
  ...{ id: 'release-1', project: 'shop', number: 1, version: '1', sha: 'c'.repeat(40), runId: 'run', image },
})

async function startProcessRig(): Promise<Rig> {
  const base = openDirectory()
  mkdirSync(`${base}/apps`, { mode: 0o755 })
  const keeper = await startKeeper({ directory: `${base}/keeper`, apps: `${base}/apps`, log: () => undefined })
  const digest = await writeImage({
    layout: `${base}/images/shop/app`,
    layers: [[{ name: 'app/app.cjs', content: sampleProgram }]],
    config: { Entrypoint: ['node', '/app/app.cjs'], Cmd: ['1'], Env: ['FLAVOUR=plain'], WorkingDir: '/app' },
    gzip: true,
  })
  const edges = { [environment]: { driver: 'embedded' as const, host: '127.0.0.1', port: 0 } }
  const places = { socket: keeper.socket, images: `${base}/images`, apps: `${base}/apps`, registries: {}, edges }
  return {
    target: createProcessTarget({ ...places, resolveEnv: () => Promise.resolve({ SECRET: secret }) }),
    release: releaseOf({ repository: 'shop/app', digest }),
    isBusy: () => Promise.resolve(findTagged('BELAY_COMMAND', environment).length > 0),
    async stop() {
      await keeper.stop()
      await endKeeper(`${base}/keeper`)
      rmSync(base, { recursive: true, force: true })
    },
  }
}

async function startDockerRig(): Promise<Rig> {
  const base = openDirectory()
  const [registry] = await Promise.all([startRegistry({ auth: { username: 'ci', password: 'canary' } }), ensureBaseImages()])
  const image = await pushAppImage(registry, { version: '1', lines: ['WORKDIR /app'] })
  const edge = await startKeeperEdge(base, environment)
  const place = placeName(environment, 'test')
  return {
    target: createDockerTarget({
      ...{ edge: edge.control, scope: 'test', directory: `${base}/target`, registries: { main: registry.access } },
      environments: { [environment]: { engine: { address: '127.0.0.1' }, instances: 1, pids: 64 } },
      env: { PATH: process.env['PATH'] ?? '', HOME: base, DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' },
      resolveEnv: () => Promise.resolve({ SECRET: secret }),
    }),
    release: releaseOf(image),
    async isBusy() {
      const { stdout } = await execa('docker', ['container', 'ls', '--quiet', '--filter', `label=belay.command=${place}`])
      return stdout !== ''
    },
    async stop() {
      await edge.stop()
      await sweepEnvironment(place)
      await sweepImages(registry)
      await registry.stop()
      rmSync(base, { recursive: true, force: true })
    },
  }
}

const rigs: Record<(typeof targets)[number]['kind'], { start(): Promise<Rig>; missing?: string | undefined }> = {
  process: { start: startProcessRig },
  docker: { start: startDockerRig, missing: engineMissing() ?? registryMissing() },
}

describe.each(targets)('a command on the target $kind', ({ kind }) => {
  let rig: Rig | undefined
  let fence = 0

  beforeEach(async () => {
    const { missing, start } = rigs[kind]
    skipUnless(missing === undefined, missing ?? '')
    fence = 0
    rig = await start()
  }, 180_000)
  afterEach(async () => {
    await rig?.stop()
    rig = undefined
  })

  const next = () => ({ environment, fence: ++fence, operationId: `operation ${String(fence)}` })

  function run(command: string[], { operation = next(), timeoutMs = 60_000 } = {}): Promise<CommandEnd> {
    if (rig?.target.runCommand === undefined) throw new Error(`the target ${kind} runs no commands`)
    return rig.target.runCommand(operation, rig.release, { command, timeoutMs })
  }

  const node = (code: string): string[] => ['node', '-e', code]

  it("runs in the image, as nobody's root, with the environment's variables, and touches nothing that runs", async () => {
    const told = `[process.env.SECRET, process.env.FLAVOUR, process.getuid() > 0, require('fs').existsSync('app.cjs'), process.env.PORT]`
    const end = await run(node(`console.log(JSON.stringify(${told}))`))
    expect(end).toEqual({ tail: `${JSON.stringify([secret, 'plain', true, true, null])}\n` })
    // A path of the image is one of the image here, too.
    expect(await run(['node', '--check', '/app/app.cjs'])).toEqual({ tail: '' })
    expect(await rig?.target.observe(environment)).toEqual({ running: [], fence: 2 })
  })

  it('says how it failed and what it printed last', async () => {
    // Two streams: what comes at the same moment may come in either order.
    const end = await run(
      node('console.log("half way"); setTimeout(() => { console.error("no such table"); process.exit(3) }, 200)'),
    )
    expect(end).toEqual({
      failure: 'exited with code 3',
      tail: expect.stringMatching(/half way\n(.*\n)?no such table\n/) as string,
    })
    const { failure, tail } = await run(['no-such-program'])
    expect(failure).toBeDefined()
    expect(`${failure ?? ''} ${tail}`).toContain('no-such-program')
  })

  it('asked again gives the end that is on record, good or bad, and runs nothing', async () => {
    for (const code of ['0', '4']) {
      const operation = next()
      const once = node(`console.log(Math.random()); process.exit(${code})`)
      const first = await run(once, { operation })
      expect(await run(once, { operation })).toEqual(first)
    }
  })

  it('is stopped with all it has started when its time is over', async () => {
    const code = 'require("child_process").spawn("sleep", ["300"]); console.log("begun"); setInterval(() => {}, 1000)'
    const end = await run(node(code), { timeoutMs: 1_500 })
    expect(end).toEqual({ failure: 'did not end within 1.5 s, and was stopped', tail: 'begun\n' })
    expect(await rig?.isBusy()).toBe(false)
  })

  it('is ended by a newer operation, and refused under an older number', async () => {
    const first = next()
    const cut = expect(run(node('setInterval(() => {}, 1000)'), { operation: first })).rejects.toMatchObject({ code: 'stale' })
    await until('it runs', () => rig?.isBusy())
    await rig?.target.retire(next())
    expect(await rig?.isBusy()).toBe(false)
    await cut
    await expect(run(node('0'), { operation: first })).rejects.toMatchObject({ code: 'stale' })
  })
})
