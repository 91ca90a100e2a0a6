import { closeSync } from 'node:fs'
import { BelayError } from '../../domain/errors.ts'
import { signalGroup } from '../../process/identity.ts'
import { spawnProcess, type Exit } from '../../process/spawn.ts'
import type { Part, RunningPart } from './part.ts'
import { partFiles } from './part-files.ts'

export interface ChildPartOptions {
  name: string
  file: string
  args: readonly string[]
  cwd: string
  /** The whole environment: nothing is inherited. */
  env: Record<string, string>
  /** Text for its stdin, asked for at each start: what it must know, secrets included. */
  input?: () => string
  /** Where its record, its `ready` file and its log lie. */
  directory: string
  readyTimeoutMs: number
  /** From SIGTERM to SIGKILL. */
  stopGraceMs: number
}

/**
 * A part that is our child: its output goes to its log, an IPC channel tells it when we die, and it is ready once it has
 * written so (`sayReady`).
 */
export function childPart(options: ChildPartOptions): Part {
  const { name } = options
  const files = partFiles(options.directory, name)
  return {
    name,
    async start(signal): Promise<RunningPart> {
      files.forget()
      const output = files.openLog()
      const { file, args, cwd, env } = options
      const input = options.input === undefined ? {} : { input: options.input() }
      const spawned = await spawnProcess({ file, args, cwd, env, ...input, output, ipc: true }).finally(() => {
        closeSync(output)
      })
      files.record(spawned.identity)
      const ended = spawned.done.then((exit) => {
        files.forget()
        return describeExit(exit)
      })
      let how: string | undefined
      void ended.then((text) => {
        how = text
      })
      const deadline = performance.now() + options.readyTimeoutMs
      let ready = files.findReady(spawned.pid)
      while (ready === undefined) {
        if (how !== undefined || signal.aborted || performance.now() > deadline) {
          await spawned.stop(options.stopGraceMs)
          throw notReady(name, how ?? 'not ready in time', files.log, files.tail())
        }
        await new Promise((resolve) => setTimeout(resolve, 20))
        ready = files.findReady(spawned.pid)
      }
      return {
        pid: spawned.pid,
        detail: ready.detail,
        ended,
        stop: () => spawned.stop(options.stopGraceMs),
        kill: () => void signalGroup(spawned.identity, 'SIGKILL'),
      }
    },
  }
}

function notReady(name: string, how: string, log: string, tail: string): BelayError {
  const end = tail === '' ? 'It printed nothing.' : `Its log ${log} ends:\n${tail}`
  return new BelayError({ code: 'unavailable', message: `${name} did not come up (${how})`, hint: end, retryable: true })
}

export function describeExit(exit: Exit): string {
  return exit.signal ?? `exit ${String(exit.exitCode ?? 1)}`
}
