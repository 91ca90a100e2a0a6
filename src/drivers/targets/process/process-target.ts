/** The target `process`: releases are programs of this machine, owned by the keeper; it reaches the keeper and unpacks. */
import { z } from 'zod'
import { defaults } from '../../../domain/defaults.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { Image } from '../../../domain/step.ts'
import { createRegistryClient } from '../../../registry/create-registry-client.ts'
import type { RegistryAccess, RegistryClient } from '../../../registry/registry.ts'
import { Activated, CommandEnd, createEnvironmentsClient, type EdgePlace, KeeperInstance } from '../keeper-client.ts'
import type { Instance, Target } from '../target.ts'
import { hostCommand, hostWorkingDirectory } from './app-command.ts'
import { readImage } from './image-layout.ts'
import { pruneReleases } from './prune-releases.ts'
import { ensurePulled } from './pull-image.ts'
import { unpackImage } from './unpack-image.ts'

export interface ProcessTargetOptions {
  /** The keeper's Unix socket. */
  socket: string
  /** OCI image layouts, one directory per repository. */
  images: string
  /** The operator's registries by name: where an image comes from that is not in a layout here. */
  registries: Readonly<Record<string, RegistryAccess>>
  /** Unpacked releases, one directory per environment; the keeper was told the same. */
  apps: string
  /** Where each environment takes requests. */
  edges: Readonly<Record<string, EdgePlace>>
  /** The environment's variables with the values of secrets, asked for at each stage and kept nowhere here. */
  resolveEnv(environment: string): Promise<Record<string, string>>
}

export function createProcessTarget(options: ProcessTargetOptions): Target {
  const { view, openEdge, carryOut } = createEnvironmentsClient(options)
  const appsOf = (environment: string): string => `${options.apps}/${environment}`

  async function prune(environment: string): Promise<void> {
    const { instances } = await view(environment)
    await pruneReleases(
      appsOf(environment),
      instances.map(({ directory }) => directory),
    )
  }

  /** Built on another machine; on the same one it is there already. */
  async function pull(registry: string, { repository, digest }: Image, layout: string): Promise<void> {
    const signal = AbortSignal.timeout(defaults.deployment.pullMs)
    const connect = (): RegistryClient => {
      const access = options.registries[registry]
      if (access !== undefined) return createRegistryClient(access, { signal })
      const hint = 'Add it to `registries` in belay.config.yml.'
      throw new BelayError({ code: 'refused', message: `there is no registry ${registry}`, hint })
    }
    await ensurePulled({ connect, name: repository.split('/').slice(1).join('/'), digest, layout, signal })
  }

  /** The image on this disk, and how anything of it is started. */
  async function unpack(environment: string, image: Image) {
    const layout = `${options.images}/${image.repository}`
    if (image.registry !== undefined) await pull(image.registry, image, layout)
    const { command, env, user, workingDirectory, layers } = await readImage(layout, image.digest)
    const directory = await unpackImage({ layout, digest: image.digest, layers, directory: appsOf(environment) })
    const place = {
      directory,
      workingDirectory: hostWorkingDirectory(workingDirectory, directory),
      env: { ...withoutPath(env), ...(await options.resolveEnv(environment)) },
      ...(user === undefined ? {} : { user }),
    }
    return { place, command }
  }

  return {
    kind: 'process',

    async observe(environment) {
      const { active, instances, fence } = await view(environment)
      const running = instances.filter((instance) => instance.running).map(({ digest }) => digest)
      return { running, fence, ...(active === undefined ? {} : { servingDigest: active }) }
    },

    async stage(operation, { image }, { alone }) {
      const { place, command } = await unpack(operation.environment, image)
      await openEdge(operation.environment)
      await carryOut(KeeperInstance, 'stage', operation, {
        ...{ digest: image.digest, alone, ...place },
        command: hostCommand(command, place.directory),
      })
    },

    async runCommand(operation, { image }, { command, timeoutMs }) {
      const { place } = await unpack(operation.environment, image)
      const request = { ...place, command: hostCommand(command, place.directory), timeoutMs }
      return carryOut(CommandEnd, 'command', operation, request, timeoutMs)
    },

    async listInstances(environment, digest) {
      return (await view(environment)).instances.filter((instance) => instance.digest === digest).map(toInstance)
    },

    async activate(operation, digest) {
      await openEdge(operation.environment)
      const { previousDigest } = await carryOut(Activated, 'activate', operation, { digest })
      return previousDigest === undefined ? {} : { previousDigest }
    },

    async retire(operation) {
      await carryOut(z.unknown(), 'retire', operation)
      await prune(operation.environment).catch(() => {
        // Only tidying, and tried again after the next deployment: no reason to take a good release back.
      })
    },

    async clear(operation) {
      await carryOut(z.unknown(), 'clear', operation)
    },

    async traffic(environment, digest) {
      return (await view(environment)).traffic[digest] ?? { requests: 0, errors: 0 }
    },

    async openEdges() {
      await Promise.all(Object.keys(options.edges).map(openEdge))
    },
  }
}

/** The image's own PATH names directories of a root that is not there. */
function withoutPath({ PATH: _path, ...env }: Record<string, string>): Record<string, string> {
  return env
}

function toInstance({ digest, id, url, running, exit, tail }: KeeperInstance): Instance {
  return { digest, id, url, running, ...(exit === undefined ? {} : { exit }), ...(tail === undefined ? {} : { tail }) }
}
