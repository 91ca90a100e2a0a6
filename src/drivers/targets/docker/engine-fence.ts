/**
 * One owner at a time on an engine that several deployers may reach, none of which can be trusted to be awake. The engine is all
 * the memory they share. It has no compare-and-set, but three things that are as good:
 *
 * 1. Volumes are made by name, and a name once there stays: the volume `….f7` says, for whoever looks, that number 7 was here.
 *    The highest number is that of the volumes, of the containers' names and of the keeper, together: removing the volumes
 *    (`docker volume prune`) loses nothing.
 * 2. A container's name is unique, changes in one step, and is looked up by each command when it arrives. So the number of the
 *    owner is part of it. Operation 7 first puts its volume there, then renames all containers to `….f7`, and then acts by
 *    these names alone. Operation 5, asleep since it last looked, finds no `….f5` when it wakes, and is told `stale`.
 * 3. What cannot be taken back begins with a rename. To stop a container is to name it `….gone.ID` first; from then on it is
 *    nobody's and never serves again. So a stop that its owner's successor finds under way has already been seen by it: a
 *    successor never counts on a container whose end was decided before.
 *
 * Starting one is the case in which there is no name yet that a successor could have changed. The order settles it: create, then
 * look at the number, then start by name. A successor puts its number there and then lists the containers. If the list had the
 * new one, it was renamed, and the start finds nothing. If not, it was created after the list, so after the number was there, and
 * the look finds it. There is no third case, however long anybody sleeps anywhere.
 *
 * A created container that its owner never came to start may have been given variables of long ago: the next owner removes it.
 * Within one command the engine looks a name up and takes its lock a moment later. Two renames may cross there; so a claim
 * lists again until all names are its own, and whoever has the highest number can always claim again.
 */
import { BelayError } from '../../../domain/errors.ts'
import type { Operation } from '../../../contract/activities.ts'
import { fenceVolume, goneName, ownedName, readFenceVolume, readName } from './container-name.ts'
import { listContainers, type Container } from './containers.ts'
import { createVolumeArgs, labels, listArgs, listVolumesArgs, removeVolumesArgs, renameArgs } from './docker-args.ts'
import { refusal, says, type DockerProgram } from './docker-program.ts'

export interface EngineFence {
  /** The highest number that the engine has seen. */
  highest(environment: string): Promise<number>
  /** Throws `stale` if a higher number was seen, here or by the keeper. */
  check(operation: Operation): Promise<void>
  /** Makes all containers of the environment this operation's, or throws `stale`. Gives them as they are then. */
  claim(operation: Operation): Promise<Container[]>
  /** Takes an own container out of service for ever; throws `stale` if it is somebody else's by now. */
  doom(operation: Operation, container: Container): Promise<void>
}

const mostRounds = 20

/** `keeperFence`: the highest number that the keeper has seen of this environment. */
export function createEngineFence(docker: DockerProgram, keeperFence: () => Promise<number>): EngineFence {
  async function listNumbers(environment: string): Promise<number[]> {
    const names = await docker.ask(listVolumesArgs({ [labels.environment]: environment, [labels.fence]: undefined }))
    return names.flatMap((name) => readFenceVolume(name) ?? [])
  }

  async function highest(environment: string): Promise<number> {
    const [numbers, names] = await Promise.all([listNumbers(environment), docker.ask(listArgs(environment, 'Names'))])
    return Math.max(0, ...numbers, ...names.map((name) => readName(name).fence))
  }

  async function check(operation: Operation): Promise<void> {
    const { environment, fence } = operation
    const seen = await Promise.all([highest(environment), keeperFence()])
    if (Math.max(...seen) > fence) throw stale(operation, Math.max(...seen))
  }

  async function rename(from: string, to: string): Promise<'renamed' | 'not there' | 'taken'> {
    const end = await docker.run(renameArgs(from, to))
    if (end.exitCode === 0) return 'renamed'
    if (says.noContainer(end)) return 'not there'
    if (says.nameTaken(end)) return 'taken'
    throw refusal('docker container rename', end)
  }

  /** One look: what is older becomes ours, or goes. */
  async function takeOver({ environment, fence }: Operation, older: readonly Container[]): Promise<void> {
    for (const container of older) {
      const end = container.fresh ? 'taken' : await rename(container.name, ownedName(container, fence))
      // Nobody's owner came to start it, or the place has a newer one.
      if (end === 'taken') await rename(container.name, goneName(environment, container.id))
    }
  }

  async function forgetOlder({ environment, fence }: Operation): Promise<void> {
    const older = (await listNumbers(environment)).filter((number) => number < fence)
    if (older.length > 0) await docker.run(removeVolumesArgs(older.map((number) => fenceVolume(environment, number))))
  }

  return {
    highest,
    check,
    async claim(operation) {
      const { environment, fence } = operation
      await check(operation)
      const announced = { [labels.environment]: environment, [labels.fence]: String(fence) }
      await docker.ask(createVolumeArgs(fenceVolume(environment, fence), announced))
      for (let round = 0; round < mostRounds; round += 1) {
        await check(operation)
        const containers = await listContainers(docker, environment)
        const newest = Math.max(0, ...containers.map((container) => container.fence))
        if (newest > fence) throw stale(operation, newest)
        const older = containers.filter((container) => !container.gone && container.fence < fence)
        if (older.length === 0) {
          await forgetOlder(operation)
          return containers
        }
        // The newest first: it keeps the place if two have the same.
        await takeOver(operation, older.sort((a, b) => b.fence - a.fence)) // prettier-ignore
      }
      throw new BelayError({
        code: 'unavailable',
        message: `the containers of ${environment} change all the time`,
        retryable: true,
      })
    },
    async doom(operation, container) {
      if (container.gone) return
      const end = await rename(container.name, goneName(container.environment, container.id))
      if (end !== 'not there') return
      await check(operation)
    },
  }
}

function stale({ operationId, environment, fence }: Operation, seen: number): BelayError {
  return new BelayError({
    code: 'stale',
    message: `operation ${operationId} on ${environment} has fencing number ${String(fence)}, but ${String(seen)} was seen`,
    hint: 'A newer owner of the environment is at work; this one has nothing more to say.',
  })
}
