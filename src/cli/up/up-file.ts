/** What a running `up` says about itself, in its data directory: for the CLI on this machine, and for tests. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { z } from 'zod'
import { writeFileDurably } from '../../process/durable-file.ts'

export const UpState = z.object({
  url: z.string(),
  /** Of `up` itself. */
  pid: z.number().int(),
  /** Pids of the parts that run now, by name. */
  parts: z.record(z.string(), z.number().int()),
  temporal: z.string(),
  /** URL of each environment's edge. */
  edges: z.record(z.string(), z.string()),
})
export type UpState = z.infer<typeof UpState>

export function upFile(data: string): string {
  return `${data}/up.json`
}

export function writeUpState(data: string, state: UpState): void {
  writeFileDurably(upFile(data), JSON.stringify(state, undefined, 2))
}

export function removeUpState(data: string): void {
  rmSync(upFile(data), { force: true })
}

/** Undefined if nothing runs there. After a SIGKILL of `up` it is what was true then. */
export function findUpState(data: string): UpState | undefined {
  return existsSync(upFile(data)) ? UpState.parse(JSON.parse(readFileSync(upFile(data), 'utf8'))) : undefined
}
