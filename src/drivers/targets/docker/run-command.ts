/**
 * A command of a release, in a container of its own: without published ports, on the network that the application has. It is fenced as
 * a start is (see engine-fence.ts): create, look at the number, start by a name that has the number in it; a successor puts its number
 * there first and then removes the containers of lower ones. Once it has ended it stays, as the answer to a repeat, until then.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import type { Operation } from '../../../contract/activities.ts'
import { BelayError } from '../../../domain/errors.ts'
import type { CommandEnd, ReleaseCommand } from '../target.ts'
import { withCallDirectory } from './call-directory.ts'
import { commandName, readCommandName } from './container-name.ts'
import type { ContainerVariables } from './container-variables.ts'
import { describeEnd } from './containers.ts'
import {
  createCommandArgs,
  inspectCommandArgs,
  labels,
  listCommandsArgs,
  logsArgs,
  startArgs,
  stopArgs,
  graceSeconds,
} from './docker-args.ts'
import type { DockerEnvironment } from './docker-environment.ts'
import { lastLines, markedLines, refusal, says, type DockerEnd, type DockerProgram } from './docker-program.ts'
import type { EngineFence } from './engine-fence.ts'
import { chooseUser, refuseRoot } from './find-user.ts'
import type { EngineImage } from './images.ts'
import { endOfLog, tailLines } from './log-tail.ts'
import { remove } from './put-away.ts'

export interface CommandInput {
  docker: DockerProgram
  fence: EngineFence
  /** As the engine is told of it. */
  operation: Operation
  image: EngineImage
  settings: DockerEnvironment
  directory: string
  variables: ContainerVariables
  command: ReleaseCommand
}

const lookEveryMs = 250
const stopLimitMs = (graceSeconds + 60) * 1000

/** Ends commands of older operations of that place: whoever has claimed its containers has claimed these too. */
export async function endOlderCommands(docker: DockerProgram, { environment, fence }: Operation): Promise<void> {
  const names = await docker.ask(listCommandsArgs(environment))
  const older = names.filter((name) => readCommandName(name) < fence)
  await Promise.all(older.map((name) => remove(docker, name)))
}

export async function runCommand(input: CommandInput): Promise<CommandEnd> {
  const { docker, fence, operation, image, command } = input
  const name = commandName(operation.environment, operation.fence)
  const user = chooseUser(image.user)
  const known = await look(docker, name)
  if (known === undefined) {
    const created = await create(input, { name, user })
    if (created.exitCode !== 0 && !says.nameTaken(created)) throw refusal('making a container for a command', created)
  }
  await fence.check(operation)
  if (known === undefined || known.fresh) {
    if ((await refuseRoot(docker, name, user)) === 'gone') throw await lost(input)
    const started = await docker.run(startArgs(name))
    if (says.noContainer(started)) throw await lost(input)
    // As an image without that program. It was never started, so a repeat tries again.
    if (started.exitCode !== 0) return { failure: `could not be started: ${lastLines(started)}`, tail: '' }
  }
  const deadline = performance.now() + command.timeoutMs
  for (;;) {
    const seen = await look(docker, name)
    if (seen === undefined) throw await lost(input)
    if (!seen.running) {
      // A newer owner that is just removing it has killed it: that is not its end.
      await fence.check(operation)
      return { ...(seen.exitCode === 0 ? {} : { failure: seen.how }), tail: await tailOf(docker, name) }
    }
    if (performance.now() >= deadline) break
    await pause(lookEveryMs)
  }
  await docker.run(stopArgs(name), { limitMs: stopLimitMs })
  const failure = `did not end within ${String(command.timeoutMs / 1000)} s, and was stopped`
  return { failure, tail: await tailOf(docker, name) }
}

async function create(input: CommandInput, { name, user }: { name: string; user: string }): Promise<DockerEnd> {
  const { docker, operation, image, settings, command } = input
  const { passed, file } = input.variables
  const spec = {
    ...{ name, user, image: image.reference, pids: settings.pids },
    ...(settings.memoryBytes === undefined ? {} : { memoryBytes: settings.memoryBytes }),
    labels: { [labels.command]: operation.environment },
    envNames: Object.keys(passed),
    command: command.command,
  }
  if (file.length === 0) return docker.run(createCommandArgs(spec), { env: passed })
  return withCallDirectory(input.directory, async (path) => {
    const envFile = join(path, 'variables')
    await writeFile(envFile, `${file.join('\n')}\n`, { mode: 0o600 })
    return docker.run(createCommandArgs({ ...spec, envFile }), { env: passed })
  })
}

const Inspected = z.object({
  state: z.string(),
  running: z.boolean(),
  exitCode: z.number(),
  overMemory: z.boolean(),
  fault: z.string(),
  memoryBytes: z.number(),
})

async function look(docker: DockerProgram, name: string) {
  const end = await docker.run(inspectCommandArgs(name))
  if (says.noContainer(end)) return undefined
  if (end.exitCode !== 0) throw refusal('docker container inspect', end)
  const { state, ...seen } = Inspected.parse(JSON.parse(markedLines(end)[0] ?? ''))
  const fresh = state === 'created'
  return { ...seen, fresh, how: describeEnd({ ...seen, fresh, restarts: 0 }) ?? 'ended' }
}

async function tailOf(docker: DockerProgram, name: string): Promise<string> {
  const logs = await docker.run(logsArgs(name, tailLines))
  return says.noContainer(logs) ? '' : endOfLog(logs.output)
}

/** Its container was removed: by a newer owner, or by somebody else. */
async function lost({ fence, operation }: CommandInput): Promise<BelayError> {
  await fence.check(operation)
  const message = `the container of a command in ${operation.environment} was removed`
  return new BelayError({ code: 'unavailable', message, retryable: true })
}
