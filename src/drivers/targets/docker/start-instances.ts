/** Brings a release to as many running containers as were asked for; what is there already is one of them. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Operation } from '../../../contract/activities.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { ReleaseRef } from '../../../domain/release.ts'
import { withCallDirectory } from './call-directory.ts'
import { ownedName } from './container-name.ts'
import type { ContainerVariables } from './container-variables.ts'
import { createArgs, labels, listPortsArgs, startArgs } from './docker-args.ts'
import { refusal, says, type DockerEnd, type DockerProgram } from './docker-program.ts'
import type { DockerEnvironment } from './docker-environment.ts'
import type { EngineFence } from './engine-fence.ts'
import { chooseUser, refuseRoot } from './find-user.ts'
import type { EngineImage } from './images.ts'
import { putAway, remove } from './put-away.ts'

export interface StartInput {
  docker: DockerProgram
  fence: EngineFence
  operation: Operation
  release: ReleaseRef
  settings: DockerEnvironment
  directory: string
  /** Of the release, with the values of secrets. */
  variables: ContainerVariables
  /** Has the engine hold the image. */
  ensureImage(): Promise<EngineImage>
}

/** Not to be had twice in a row by bad luck, and not for ever by a bad engine. */
const mostRounds = 10

/** Resolves when all were started. What another call of the same operation starts meanwhile counts too. */
export async function startInstances(input: StartInput): Promise<void> {
  const { docker, fence, operation, release, settings, directory } = input
  for (let round = 0; round < mostRounds; round += 1) {
    const image = await input.ensureImage()
    const all = (await fence.claim(operation)).filter(({ gone }) => !gone)
    const slots = Array.from({ length: settings.instances }, (_, slot) => slot)
    const wanted = slots.map((slot) => ({
      slot,
      there: all.find((container) => container.digest === release.image.digest && container.slot === slot),
    }))
    const missing = wanted.filter(({ there }) => there?.running !== true)
    if (missing.length === 0) return
    const ports = await choosePorts(docker, missing.length)
    const started = await Promise.allSettled(
      missing.map(async ({ slot, there }, index) => {
        if (there !== undefined && !there.fresh) {
          await fence.doom(operation, there)
          await putAway(docker, there, directory)
        }
        const port = there?.fresh === true ? there.port : (ports[index] ?? 0)
        return startOne(input, { slot, image, port, created: there?.fresh === true })
      }),
    )
    for (const one of started) if (one.status === 'rejected') throw one.reason as Error
    if (started.every((one) => one.status === 'fulfilled' && one.value === 'started')) return
  }
  throw new BelayError({
    code: 'unavailable',
    message: `the engine (${docker.engine}) did not start ${release.image.digest} in ${String(mostRounds)} rounds`,
    retryable: true,
  })
}

interface OneInput {
  slot: number
  image: EngineImage
  port: number
  /** An earlier call of this operation has created it. */
  created: boolean
}

/** The order is what fences it: create, look at the number, start by name. See engine-fence.ts. */
async function startOne(input: StartInput, one: OneInput): Promise<'started' | 'again'> {
  const { docker, fence, operation, release } = input
  const { environment } = operation
  const name = ownedName({ environment, digest: release.image.digest, slot: one.slot }, operation.fence)
  const user = chooseUser(one.image.user)
  try {
    if (!one.created) {
      const created = await create(input, { ...one, name, user })
      if (says.nameTaken(created) || says.noImage(created)) return 'again'
      if (created.exitCode !== 0) throw refusal(`making a container of ${release.image.digest}`, created)
    }
    await fence.check(operation)
    if ((await refuseRoot(docker, name, user)) === 'gone') return 'again'
    const started = await docker.run(startArgs(name))
    if (started.exitCode === 0) return 'started'
    // It is somebody else's by now: the next claim says whose.
    if (says.noContainer(started)) return 'again'
    if (!says.portTaken(started)) throw refusal(`starting a container of ${release.image.digest}`, started)
    await remove(docker, name)
    return 'again'
  } catch (error) {
    // A failed start leaves what was created. By its name: so only if it is still ours.
    await remove(docker, name).catch(() => undefined)
    throw error
  }
}

async function create(input: StartInput, one: OneInput & { name: string; user: string }): Promise<DockerEnd> {
  const { docker, operation, release, settings } = input
  const { passed, file } = input.variables
  const { memoryBytes, pids, engine } = settings
  const spec = {
    ...{ name: one.name, image: one.image.reference, user: one.user, pids, address: engine.address, port: one.port },
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    labels: {
      [labels.environment]: operation.environment,
      [labels.digest]: release.image.digest,
      [labels.release]: release.id,
      [labels.slot]: String(one.slot),
      [labels.port]: String(one.port),
      [labels.address]: engine.address,
    },
    envNames: Object.keys(passed),
  }
  if (file.length === 0) return docker.run(createArgs(spec), { env: passed })
  return withCallDirectory(input.directory, async (path) => {
    const envFile = join(path, 'variables')
    await writeFile(envFile, `${file.join('\n')}\n`, { mode: 0o600 })
    return docker.run(createArgs({ ...spec, envFile }), { env: passed })
  })
}

/** Chosen by us, so that a container has the same one after any restart; below what systems give to outgoing connections. */
const firstPort = 30_000
const portCount = 2_768

async function choosePorts(docker: DockerProgram, count: number): Promise<number[]> {
  const taken = new Set((await docker.ask(listPortsArgs())).map(Number))
  const start = Math.floor(Math.random() * portCount)
  const free: number[] = []
  for (let step = 0; step < portCount && free.length < count; step += 1) {
    const port = firstPort + ((start + step) % portCount)
    if (!taken.has(port)) free.push(port)
  }
  if (free.length === count) return free
  throw new BelayError({ code: 'unavailable', message: `the engine (${docker.engine}) has no port left`, retryable: true })
}
