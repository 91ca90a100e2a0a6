/** Whose directory it is: the epoch under which the workflow gave it out, on disk beside what it is the lease of. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { BelayError } from '../../domain/errors.ts'
import { writeFileDurably } from '../../process/durable-file.ts'

const Lease = z.object({
  epoch: z.number().int().nonnegative(),
  sha: z.string(),
  /** `opening`: what lies in the directory may be half of it. */
  state: z.enum(['opening', 'open']),
  /** The epoch under which the directory was made; absent: `epoch`, or an earlier one. */
  made: z.number().int().nonnegative().optional(),
  /** Digest of the checkpoint that was laid into it when it was made. */
  checkpoint: z.string().optional(),
})
export type Lease = z.infer<typeof Lease>

/** `root`: absolute path of the run's directory. Undefined if there is no lease, or none that can be read. */
export function findLease(root: string): Lease | undefined {
  let text: string
  try {
    text = readFileSync(join(root, 'lease.json'), 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const parsed = Lease.safeParse(parseJson(text))
  return parsed.success ? parsed.data : undefined
}

export function writeLease(root: string, lease: Lease): void {
  writeFileDurably(join(root, 'lease.json'), JSON.stringify(lease))
}

export function refuseStale(lease: Lease | undefined, epoch: number): void {
  if (lease === undefined || lease.epoch <= epoch) return
  throw new BelayError({
    code: 'stale',
    message: `epoch ${String(epoch)} of this workspace was replaced by ${String(lease.epoch)}`,
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Written whole or not at all: this is no lease of ours, and no lease means the directory is made anew.
    return undefined
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
