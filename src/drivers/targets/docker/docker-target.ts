/**
 * The target `docker`: releases are containers of an engine, pulled by digest, hardened, behind an edge that the keeper owns.
 * Nothing is remembered here: what runs and whose it is is on the engine (engine-fence.ts), where traffic goes is with the keeper.
 * Of all operations only `activate` has an answer, and the keeper has it on record; the others end the same however often they run.
 */
import type { Operation } from '../../../contract/activities.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { RegistryAccess } from '../../../registry/registry.ts'
import type { Upstream } from '../../edges/edge.ts'
import type { EdgeControl } from '../edge-control.ts'
import type { Instance, Target } from '../target.ts'
import { splitVariables } from './container-variables.ts'
import { describeEnd, listContainers, type Container } from './containers.ts'
import { placeName } from './container-name.ts'
import { hostPart, logsArgs, restartArgs } from './docker-args.ts'
import type { DockerEnvironment } from './docker-environment.ts'
import { createDockerProgram, refusal, says, type DockerProgram } from './docker-program.ts'
import { createEngineFence, type EngineFence } from './engine-fence.ts'
import { createImages, type Images } from './images.ts'
import { endOfLog, tailLines } from './log-tail.ts'
import { putAway } from './put-away.ts'
import { endOlderCommands, runCommand } from './run-command.ts'
import { startInstances } from './start-instances.ts'

export interface DockerTargetOptions {
  edge: EdgeControl
  /** Tells our containers from those of another Belay on the same engine, whose environments may have the same names. */
  scope: string
  /** By environment. */
  environments: Readonly<Record<string, DockerEnvironment>>
  /** The operator's registries by name, with credentials held in memory only. */
  registries: Readonly<Record<string, RegistryAccess>>
  /** Absolute path, 0700: credentials of one call, kept logs. */
  directory: string
  /** What the docker program needs: PATH, HOME, DOCKER_*. */
  env: Readonly<Record<string, string>>
  /** The environment's variables with the values of secrets, asked for at each stage and kept nowhere here. */
  resolveEnv(environment: string): Promise<Record<string, string>>
}

/** One environment, and the means to act on it. */
interface Room {
  environment: string
  /** The operation as the engine is told of it: there the environment's name has `scope` in it. */
  atEngine(operation: Operation): Operation
  /** That name. */
  place: string
  settings: DockerEnvironment
  docker: DockerProgram
  fence: EngineFence
  images: Images
}

export function createDockerTarget(options: DockerTargetOptions): Target {
  const { edge, directory, registries, env } = options
  const rooms = new Map(Object.keys(options.environments).map((environment) => [environment, createRoom(environment)]))

  function createRoom(environment: string): Room {
    const settings = requireSettings(options.environments, environment)
    const docker = createDockerProgram({ env, engine: settings.engine })
    const place = placeName(environment, options.scope)
    const fence = createEngineFence(docker, async () => (await edge.view(environment)).fence)
    const images = createImages({ docker, registries, directory, env })
    const atEngine = (operation: Operation): Operation => ({ ...operation, environment: place })
    return { environment, atEngine, place, settings, docker, fence, images }
  }

  function roomOf(environment: string): Room {
    const room = rooms.get(environment)
    if (room !== undefined) return room
    throw new BelayError({ code: 'not_found', message: `no environment ${environment} of containers here` })
  }

  /** All that runs of the environment is this operation's from here on, and what older ones only wanted done is ended. */
  async function claim({ docker, fence, atEngine }: Room, operation: Operation): Promise<Container[]> {
    const own = atEngine(operation)
    const containers = await fence.claim(own)
    await endOlderCommands(docker, own)
    return containers
  }

  /**
   * Says the number to the keeper as well, without moving traffic: so an older `activate` that sleeps just before its switch
   * is refused there. Gives where traffic goes; no lower number can change that any more.
   */
  async function announce(operation: Operation): Promise<readonly Upstream[]> {
    await edge.announce(operation)
    return (await edge.view(operation.environment)).upstreams
  }

  /** Waits for the requests under way, then ends them; those that were on their way out already are ended too. */
  async function end(
    { environment, atEngine, docker, fence }: Room,
    operation: Operation,
    containers: readonly Container[],
  ): Promise<void> {
    const serving = containers.filter(({ gone }) => !gone)
    if (serving.length > 0) await edge.drained(environment, serving.map(({ id }) => id)) // prettier-ignore
    for (const container of serving) await fence.doom(atEngine(operation), container)
    await Promise.all(containers.map((container) => putAway(docker, container, directory)))
  }

  /** For a release that cannot run beside another. */
  async function makeWay(room: Room, operation: Operation, digest: string): Promise<void> {
    const containers = await claim(room, operation)
    const { active } = await edge.view(operation.environment)
    if (active === digest) await announce(operation)
    else await edge.unroute(operation)
    const others = containers.filter((container) => container.gone || container.digest !== digest)
    await end(room, operation, others)
  }

  async function toInstance({ docker, settings }: Room, container: Container): Promise<Instance> {
    const { id, digest, running, address = settings.engine.address } = container
    const exit = describeEnd(container)
    const url = `http://${hostPart(address)}:${String(container.port)}`
    if (exit === undefined) return { id, digest, url, running }
    const logs = await docker.run(logsArgs(id, tailLines))
    return { id, digest, url, running, exit, tail: says.noContainer(logs) ? '' : endOfLog(logs.output) }
  }

  return {
    kind: 'docker',

    async observe(environment) {
      const { docker, fence, place } = roomOf(environment)
      const [all, seen, view] = await Promise.all([listContainers(docker, place), fence.highest(place), edge.view(environment)])
      const containers = all.filter(({ gone }) => !gone)
      const serving = view.upstreams.find(({ id }) => containers.some((container) => container.id === id))
      return {
        running: [...new Set(containers.filter(({ running }) => running).map(({ digest }) => digest))],
        fence: Math.max(seen, view.fence),
        ...(serving === undefined ? {} : { servingDigest: serving.digest }),
      }
    },

    async stage(operation, release, { alone }) {
      const room = roomOf(operation.environment)
      const { images } = room
      const own = room.atEngine(operation)
      await claim(room, operation)
      // Before traffic is taken off: a pull may take minutes, and a secret may be missing.
      await images.ensure(own, release.image)
      const variables = splitVariables(await options.resolveEnv(operation.environment), env)
      await edge.open(operation.environment)
      if (alone) await makeWay(room, operation, release.image.digest)
      else await announce(operation)
      const ensureImage = () => images.ensure(own, release.image)
      await startInstances({ ...room, operation: own, release, directory, variables, ensureImage })
    },

    async runCommand(operation, release, command) {
      const room = roomOf(operation.environment)
      const { docker, fence, images, settings } = room
      const own = room.atEngine(operation)
      await claim(room, operation)
      const image = await images.ensure(own, release.image)
      const variables = splitVariables(await options.resolveEnv(operation.environment), env)
      await announce(operation)
      return runCommand({ docker, fence, operation: own, image, settings, directory, variables, command })
    },

    async listInstances(environment, digest) {
      const room = roomOf(environment)
      const containers = (await listContainers(room.docker, room.place)).filter(
        (container) => !container.gone && container.digest === digest,
      )
      if (containers.length === 0) return []
      const instances = await Promise.all(containers.map((container) => toInstance(room, container)))
      const slots = new Set(containers.map(({ slot }) => slot))
      for (let slot = 0; slot < room.settings.instances; slot += 1) {
        if (!slots.has(slot))
          instances.push({ id: `${digest}/${String(slot)}`, digest, url: '', running: false, exit: 'is not there' })
      }
      return instances
    },

    async activate(operation, digest) {
      const room = roomOf(operation.environment)
      const { environment, docker, settings, fence } = room
      const all = await claim(room, operation)
      const before = await edge.view(environment)
      // Done already, and answered from the keeper's record: whatever has died since is another matter.
      const isRouted = before.fence === operation.fence && before.active === digest && before.upstreams.length > 0
      if (isRouted) return edge.route(operation, before.upstreams)
      const staged = all.filter(
        (container) => !container.gone && container.digest === digest && container.slot < settings.instances,
      )
      const running = staged.filter((container) => container.running)
      if (running.length < settings.instances) throw notAllRun(room, digest, staged)
      for (const { name } of running) {
        const updated = await docker.run(restartArgs(name, 'always'))
        if (says.noContainer(updated)) await fence.check(room.atEngine(operation))
        if (updated.exitCode !== 0) throw refusal('docker container update', updated)
      }
      await edge.open(environment)
      const here = settings.engine.address
      return edge.route(operation, running.map(({ id, port, address: host = here }) => ({ id, digest, host, port }))) // prettier-ignore
    },

    async retire(operation) {
      const room = roomOf(operation.environment)
      const containers = await claim(room, operation)
      const serving = await announce(operation)
      const others = containers.filter(({ id, gone }) => gone || !serving.some((upstream) => upstream.id === id))
      await end(room, operation, others)
      await room.images.prune(containers.filter((container) => !others.includes(container)).map(({ digest }) => digest)).catch(() => {
        // Only tidying, and tried again after the next deployment: no reason to take a good release back.
      }) // prettier-ignore
    },

    async clear(operation) {
      const room = roomOf(operation.environment)
      const containers = await claim(room, operation)
      await edge.unroute(operation)
      await end(room, operation, containers)
    },

    async traffic(environment, digest) {
      roomOf(environment)
      return (await edge.view(environment)).traffic[digest] ?? { requests: 0, errors: 0 }
    },

    async openEdges() {
      await Promise.all([...rooms.keys()].map((environment) => edge.open(environment)))
    },
  }
}

function requireSettings(environments: DockerTargetOptions['environments'], environment: string): DockerEnvironment {
  const settings = environments[environment]
  if (settings !== undefined) return settings
  throw new BelayError({ code: 'internal', message: `no settings for ${environment}` })
}

function notAllRun({ environment, settings }: Room, digest: string, staged: readonly Container[]): BelayError {
  const dead = staged.find(({ running }) => !running)
  const how = dead === undefined ? '' : `: one ${describeEnd(dead) ?? 'ended'}`
  const running = staged.filter((container) => container.running).length
  return new BelayError({
    code: 'refused',
    message: `${String(running)} of ${String(settings.instances)} instances of ${digest} run in ${environment}${how}`,
    hint: 'Stage the release again.',
  })
}
