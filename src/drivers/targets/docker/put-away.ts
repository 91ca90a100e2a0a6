/** The end of a container that has been taken out of service: stopped, its log kept, removed. */
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { withCallDirectory } from './call-directory.ts'
import type { Container } from './containers.ts'
import { graceSeconds, logsArgs, removeArgs, restartArgs, stopArgs } from './docker-args.ts'
import { refusal, says, type DockerProgram } from './docker-program.ts'

const logBytesKept = 10 * 1024 ** 2
const logsKept = 20
const stopLimitMs = (graceSeconds + 60) * 1000

/** SIGTERM, grace, SIGKILL. Gone already, or somebody else at it, or stopped and not to be removed: fine. */
export async function putAway(docker: DockerProgram, container: Container, directory: string): Promise<void> {
  const { id } = container
  // Or an engine that restarts between these commands would bring it back.
  const calmed = await docker.run(restartArgs(id, 'no'))
  const stopped = await docker.run(stopArgs(id), { limitMs: stopLimitMs })
  if (says.noContainer(stopped)) return
  await keepLog(docker, container, directory).catch(() => {
    // No room for it, perhaps: no reason to leave an old release running.
  })
  const isOver = stopped.exitCode === 0 && (calmed.exitCode === 0 || says.halfRemoved(calmed))
  await remove(docker, id).catch((error: unknown) => {
    // Something on the machine holds its files, perhaps. It is named gone, so the next operation finds it and tries again.
    if (!isOver) throw error
  })
}

/** By name or id; not there: fine. */
export async function remove(docker: DockerProgram, nameOrId: string): Promise<void> {
  const removed = await docker.run(removeArgs(nameOrId))
  const underWay = /removal of container .* is already in progress/i.test(removed.output.toString('utf8'))
  if (removed.exitCode !== 0 && !underWay && !says.noContainer(removed)) throw refusal('docker container rm', removed)
}

async function keepLog(docker: DockerProgram, container: Container, directory: string): Promise<void> {
  if (container.fresh) return
  const logs = join(directory, 'logs', container.environment)
  await mkdir(logs, { recursive: true, mode: 0o700 })
  // Names begin with the time of the container's making, so they sort by age.
  const name = `${container.createdAt.toISOString().replaceAll(':', '-')}-${container.id.slice(0, 12)}.log`
  await withCallDirectory(directory, async (path) => {
    // A whole one only: the engine gives none of a container that it could not remove, and the first stays.
    if (await copyLog(docker, container, join(path, name))) await rename(join(path, name), join(logs, name))
  })
  const names = (await readdir(logs)).sort()
  for (const old of names.slice(0, -logsKept)) await rm(join(logs, old), { force: true })
}

/** False: the engine did not give it. */
async function copyLog(docker: DockerProgram, { id }: Container, path: string): Promise<boolean> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600)
  try {
    const { exitCode } = await docker.run(logsArgs(id, 'all'), { into: file.fd })
    const { size } = await file.stat()
    if (size > logBytesKept) {
      const { buffer } = await file.read(Buffer.alloc(logBytesKept), 0, logBytesKept, size - logBytesKept)
      await file.truncate(0)
      await file.write(buffer, 0, buffer.length, 0)
    }
    return exitCode === 0
  } finally {
    await file.close()
  }
}
