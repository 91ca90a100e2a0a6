/** Commands of a release, as its migrations: run to their end beside the applications, as the same user and with the same variables. */
import { randomBytes } from 'node:crypto'
import { closeSync } from 'node:fs'
import { z } from 'zod'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { findIdentity, findTagged } from '../../process/identity.ts'
import { spawnProcess, stopGroup, type Spawned } from '../../process/spawn.ts'
import type { AppFiles } from './app-files.ts'
import { hostPath, userFor } from './app-process.ts'
import type { CommandRequest } from './keeper-api.ts'

export const CommandResult = z.object({
  /** How it failed; absent: it ended well. */
  failure: z.string().optional(),
  /** The file of what it printed. */
  log: z.string(),
})
export type CommandResult = z.infer<typeof CommandResult>

export interface ReleaseCommands {
  /** Resolves when nothing of it is left. Throws what the signal was aborted with, and then, too, nothing of it is left. */
  run(request: Omit<CommandRequest, 'fence' | 'operationId'>, signal: AbortSignal): Promise<CommandResult>
  /** Ends what an earlier keeper has left: nobody can learn how it would have ended, so whoever asks again has it run again. */
  endLeft(): Promise<void>
}

/** Carries the environment's name in the environment of everything that a command starts. */
const tag = 'BELAY_COMMAND'
const graceMs = 10_000

export function createReleaseCommands({ environment, files }: { environment: string; files: AppFiles }): ReleaseCommands {
  async function endLeft(): Promise<void> {
    const left = findTagged(tag, environment).flatMap((pid) => findIdentity(pid) ?? [])
    await Promise.all(left.map((identity) => stopGroup(identity, 0)))
  }

  async function start(request: Parameters<ReleaseCommands['run']>[0], log: string): Promise<Spawned> {
    const [file = '', ...args] = request.command
    const output = files.openLog(log)
    try {
      return await spawnProcess({
        ...{ file, args, output },
        cwd: request.workingDirectory,
        env: { PATH: hostPath(), ...request.env, [tag]: environment },
        user: userFor(request.user),
      })
    } finally {
      closeSync(output)
    }
  }

  return {
    endLeft,
    async run(request, signal) {
      await endLeft()
      // As an instance's: names sort by age.
      const log = files.logFile(environment, `${Date.now().toString(36)}-${randomBytes(4).toString('hex')}-command`)
      let child: Spawned
      try {
        child = await start(request, log)
      } catch (error) {
        if (!(error instanceof BelayError) || error.code !== 'refused') throw error
        return { failure: messageOf(error), log }
      }
      let failure: string | undefined
      const timer = setTimeout(() => {
        failure = `did not end within ${String(request.timeoutMs / 1000)} s, and was stopped`
        void child.stop(graceMs)
      }, request.timeoutMs)
      const abort = (): void => void child.stop(graceMs)
      signal.addEventListener('abort', abort)
      if (signal.aborted) abort()
      const { exitCode, signal: how } = await child.done
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      // What it left in the background goes with it.
      await child.stop(graceMs)
      files.pruneLogs(environment)
      signal.throwIfAborted()
      if (exitCode !== 0) failure ??= how === undefined ? `exited with code ${String(exitCode)}` : `was ended by ${how}`
      return failure === undefined ? { log } : { failure, log }
    },
  }
}
