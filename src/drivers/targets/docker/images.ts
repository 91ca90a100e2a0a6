/** Images on the engine: pulled by digest, and removed again once nothing needs them. */
import { defaults } from '../../../domain/defaults.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { Operation } from '../../../contract/activities.ts'
import type { Image } from '../../../domain/step.ts'
import type { RegistryAccess } from '../../../registry/registry.ts'
import { z } from 'zod'
import { layCredentials, withCallDirectory } from './call-directory.ts'
import { imageVolume } from './container-name.ts'
import {
  createVolumeArgs,
  inspectImageArgs,
  labels,
  listImageVolumesArgs,
  pullArgs,
  removeImageArgs,
  removeVolumesArgs,
} from './docker-args.ts'
import { lastLines, markedLines, refusal, says, type DockerEnd, type DockerProgram } from './docker-program.ts'

export interface EngineImage {
  /** HOST/NAME@DIGEST */
  reference: string
  /** As the image says; empty: root. */
  user: string
}

export interface ImagesOptions {
  docker: DockerProgram
  registries: Readonly<Record<string, RegistryAccess>>
  directory: string
  env: Readonly<Record<string, string>>
}

export interface Images {
  /**
   * Has the engine hold exactly that digest; there already: no registry is asked. Throws `refused` (in no registry that we know, or it
   * does not let us in), `not_found` (the registry has no such image), `unavailable` (it is away), `mismatch`.
   */
  ensure(operation: Operation, image: Image): Promise<EngineImage>
  /** Removes what was pulled for an environment and is neither in use there nor among the last few of any. Tidying: what fails is left. */
  prune(inUse: readonly string[]): Promise<void>
}

const Inspected = z.object({ digests: z.array(z.string()).nullable(), user: z.string() })
/** Of each environment: the one that serves, the one before, and one for luck. */
const keptImages = 3

export function createImages({ docker, registries, directory, env }: ImagesOptions): Images {
  async function find(reference: string): Promise<EngineImage | undefined> {
    const end = await docker.run(inspectImageArgs(reference))
    if (says.noImage(end)) return undefined
    if (end.exitCode !== 0) throw refusal('docker image inspect', end)
    const [line = ''] = markedLines(end)
    const { digests, user } = Inspected.parse(JSON.parse(line))
    if ((digests ?? []).includes(reference)) return { reference, user }
    const message = `the engine (${docker.engine}) has another image under ${reference}: ${(digests ?? []).join(', ')}`
    throw new BelayError({ code: 'mismatch', message })
  }

  async function pull(reference: string, registry: RegistryAccess): Promise<void> {
    const end = await withCallDirectory(directory, async (path) => {
      await layCredentials(path, { registry, env })
      return docker.run(pullArgs(reference), { configDirectory: path, limitMs: defaults.deployment.pullMs })
    })
    if (end.exitCode !== 0) throw explainPull(end, reference, registry)
  }

  return {
    async ensure({ environment, fence }, image) {
      const registry = requireRegistry(registries, image)
      const name = image.repository.split('/').slice(1).join('/')
      const reference = `${new URL(registry.url).host}/${name}@${image.digest}`
      const there = await find(reference)
      if (there !== undefined) return there
      // Written first: what a kill leaves behind is known to be ours.
      const record = { [labels.environment]: environment, [labels.fence]: String(fence), [labels.image]: reference }
      await docker.ask(createVolumeArgs(imageVolume(environment, image.digest), record))
      await pull(reference, registry)
      const pulled = await find(reference)
      if (pulled !== undefined) return pulled
      throw new BelayError({
        code: 'mismatch',
        message: `the engine (${docker.engine}) does not have ${reference} after its pull`,
      })
    },

    async prune(inUse) {
      const records = (await docker.ask(listImageVolumesArgs())).flatMap(parseRecord)
      const needed = new Set(newestOfEach(records).map(({ reference }) => reference))
      for (const { volume, reference } of records) {
        if (needed.has(reference) || inUse.some((digest) => reference.endsWith(digest))) continue
        const removed = await docker.run(removeImageArgs(reference))
        // In use elsewhere on the engine: then it stays ours to remove, another time.
        if (removed.exitCode === 0 || says.noImage(removed)) await docker.run(removeVolumesArgs([volume]))
      }
    },
  }
}

function requireRegistry(registries: Readonly<Record<string, RegistryAccess>>, image: Image): RegistryAccess {
  if (image.registry === undefined) {
    throw new BelayError({
      code: 'refused',
      message: `the image ${image.repository} is in no registry, and containers are made from images of registries only`,
      hint: "Begin the `repository` of its `build_image` with a registry's name, `NAME/app`, and add `registries.NAME` to the configuration.",
    })
  }
  const registry = registries[image.registry]
  if (registry !== undefined) return registry
  throw new BelayError({
    code: 'refused',
    message: `the image ${image.repository} is in the registry "${image.registry}", which the deployer does not know`,
    hint: `Add \`registries.${image.registry}\` to its configuration.`,
  })
}

function explainPull(end: DockerEnd, reference: string, { name }: RegistryAccess): BelayError {
  const message = `the registry "${name}" did not give ${reference}: ${lastLines(end)}`
  if (says.denied(end)) {
    const hint = `Look at username and password of \`registries.${name}\`.`
    return new BelayError({ code: 'refused', message, hint })
  }
  if (says.noManifest(end)) {
    return new BelayError({ code: 'not_found', message, hint: 'Was it removed there? Build it again.' })
  }
  const hint = `Is the registry of \`registries.${name}\` up, and can the engine reach it?`
  return new BelayError({ code: 'unavailable', message, hint, retryable: true })
}

interface ImageRecord {
  volume: string
  environment: string
  fence: number
  reference: string
}

function parseRecord(line: string): ImageRecord[] {
  const [volume, environment, fence, reference] = line.split(' ')
  if (volume === undefined || environment === undefined || reference === undefined) return []
  return [{ volume, environment, fence: Number(fence), reference }]
}

function newestOfEach(records: readonly ImageRecord[]): ImageRecord[] {
  const byAge = [...records].sort((a, b) => b.fence - a.fence)
  return byAge.filter(
    (record, index) => byAge.slice(0, index).filter(({ environment }) => environment === record.environment).length < keptImages,
  )
}
