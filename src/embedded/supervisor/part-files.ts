/** What is written down about a part while it runs: who it is, that it is ready, and what it prints. */
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { z } from 'zod'
import { writeFileDurably } from '../../process/durable-file.ts'
import { isAlive, type ProcessIdentity } from '../../process/identity.ts'
import { stopGroup } from '../../process/spawn.ts'

const Identity = z.object({ pid: z.number().int().positive(), startTime: z.string(), bootId: z.string() })

/** What a part says once it is ready. */
const Ready = z.object({ pid: z.number().int(), detail: z.string() })
export type Ready = z.infer<typeof Ready>

const logLimitBytes = 10 * 1024 * 1024

export interface PartFiles {
  readonly log: string
  readonly ready: string
  /** Opens the log for appending; one that has grown large is moved aside first. */
  openLog(): number
  /** Last lines of the log, for an error message. */
  tail(): string
  record(identity: ProcessIdentity): void
  /** The recorded process, if it is still that one. */
  findRecorded(): ProcessIdentity | undefined
  /** What that process said about being ready, if it did. */
  findReady(pid: number): Ready | undefined
  forget(): void
}

export function partFiles(directory: string, name: string): PartFiles {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const record = `${directory}/${name}.json`
  const ready = `${directory}/${name}.ready`
  const log = `${directory}/${name}.log`
  return {
    log,
    ready,
    openLog() {
      if (existsSync(log) && statSync(log).size > logLimitBytes) renameSync(log, `${log}.1`)
      return openSync(log, 'a', 0o600)
    },
    tail: () => (existsSync(log) ? readFileSync(log, 'utf8').slice(-1500).trim() : ''),
    record(identity) {
      writeFileDurably(record, JSON.stringify(identity))
    },
    findRecorded() {
      const identity = existsSync(record) ? Identity.parse(JSON.parse(readFileSync(record, 'utf8'))) : undefined
      return identity !== undefined && isAlive(identity) ? identity : undefined
    },
    findReady(pid) {
      if (!existsSync(ready)) return undefined
      const said = Ready.parse(JSON.parse(readFileSync(ready, 'utf8')))
      return said.pid === pid ? said : undefined
    },
    forget() {
      rmSync(record, { force: true })
      rmSync(ready, { force: true })
    },
  }
}

/** Called by a part, in its own process. */
export function sayReady(file: string, detail: string): void {
  writeFileDurably(file, JSON.stringify({ pid: process.pid, detail }))
}

/** Ends what an `up` that was killed has left behind; returns the names of those that were still there. */
export async function stopLeftovers(
  directory: string,
  options: { except: readonly string[]; graceMs: number },
): Promise<string[]> {
  const names = existsSync(directory) ? readdirSync(directory).flatMap((file) => /^(.+)\.json$/.exec(file)?.[1] ?? []) : []
  const found = await Promise.all(
    names
      .filter((name) => !options.except.includes(name))
      .map(async (name) => {
        const files = partFiles(directory, name)
        const left = files.findRecorded()
        if (left !== undefined) await stopGroup(left, options.graceMs)
        files.forget()
        return left === undefined ? [] : [name]
      }),
  )
  return found.flat()
}
