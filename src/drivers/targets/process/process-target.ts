/** The target `process`: releases are programs of this machine, owned by the keeper; it reaches the keeper and unpacks. */
import { z } from 'zod'
import type { Operation } from '../../../contract/activities.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { Instance, Target } from '../target.ts'
import { hostCommand, hostWorkingDirectory } from './app-command.ts'
import { readImage } from './image-layout.ts'
import { Activated, createKeeperClient, KeeperEnvironment, KeeperInstance } from './keeper-client.ts'
import { pruneReleases } from './prune-releases.ts'
import { unpackImage } from './unpack-image.ts'

export interface ProcessTargetOptions {
  /** The keeper's Unix socket. */
  socket: string
  /** OCI image layouts, one directory per repository. */
  images: string
  /** Unpacked releases, one directory per environment; the keeper was told the same. */
  apps: string
  /** Where each environment takes requests. */
  edges: Readonly<Record<string, { host: string; port: number }>>
  /** The environment's variables with the values of secrets, asked for at each stage and kept nowhere here. */
  resolveEnv(environment: string): Promise<Record<string, string>>
}

export interface ProcessTarget extends Target {
  /** Has the keeper listen for all environments, so that they answer (503) before their first release. */
  openEdges(): Promise<void>
}

export function createProcessTarget(options: ProcessTargetOptions): ProcessTarget {
  const keeper = createKeeperClient(options.socket)
  const appsOf = (environment: string): string => `${options.apps}/${environment}`

  const view = (environment: string): Promise<KeeperEnvironment> =>
    keeper.call(KeeperEnvironment, 'GET', `/environments/${encodeURIComponent(environment)}`)

  const carryOut = <T>(schema: z.ZodType<T>, name: string, { environment, fence, operationId }: Operation, rest = {}) =>
    keeper.call(schema, 'POST', `/environments/${encodeURIComponent(environment)}/${name}`, { fence, operationId, ...rest })

  async function openEdge(environment: string): Promise<void> {
    const edge = options.edges[environment]
    if (edge === undefined) throw new BelayError({ code: 'not_found', message: `no environment ${environment} here` })
    await keeper.call(z.unknown(), 'PUT', `/environments/${encodeURIComponent(environment)}/edge`, edge)
  }

  async function prune(environment: string): Promise<void> {
    const { instances } = await view(environment)
    await pruneReleases(
      appsOf(environment),
      instances.map(({ directory }) => directory),
    )
  }

  return {
    kind: 'process',

    async observe(environment) {
      const { active, instances, fence } = await view(environment)
      const running = instances.filter((instance) => instance.running).map(({ digest }) => digest)
      return { running, fence, ...(active === undefined ? {} : { servingDigest: active }) }
    },

    async stage(operation, { image }, { alone }) {
      const layout = `${options.images}/${image.repository}`
      const { command, env, user, workingDirectory, layers } = await readImage(layout, image.digest)
      const directory = await unpackImage({ layout, digest: image.digest, layers, directory: appsOf(operation.environment) })
      await openEdge(operation.environment)
      const started = await carryOut(KeeperInstance, 'stage', operation, {
        digest: image.digest,
        alone,
        directory,
        workingDirectory: hostWorkingDirectory(workingDirectory, directory),
        command: hostCommand(command, directory),
        env: { ...withoutPath(env), ...(await options.resolveEnv(operation.environment)) },
        ...(user === undefined ? {} : { user }),
      })
      return toInstance(started)
    },

    async findInstance(environment, digest) {
      const found = (await view(environment)).instances.find((instance) => instance.digest === digest)
      return found === undefined ? undefined : toInstance(found)
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

function toInstance({ digest, url, running, exit, tail }: KeeperInstance): Instance {
  return { digest, url, running, ...(exit === undefined ? {} : { exit }), ...(tail === undefined ? {} : { tail }) }
}
