/** The logs that an earlier life of this runner left on its disk. */
import { readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Log } from './log.ts'
import { openSpool, spoolFileOf, type LogName, type Spool } from './spool.ts'

const FileName = z.object({
  attempt: z.coerce.number().int().positive(),
  epoch: z.coerce.number().int().nonnegative(),
  part: z.enum(['step', 'undo', 'finally']),
})

/** Opens all of them, closed; one that was cut by a kill gets a last line that says so. */
export function openLeftoverSpools(options: { directory: string; log: Log }): Spool[] {
  return listLeftovers(options.directory).map(({ name, open }) => {
    const file = spoolFileOf(options.directory, name)
    if (!open) renameSync(file, `${file}.open`)
    const spool = openSpool({ ...options, name })
    if (open) spool.write(Buffer.from('\n[belay] cut off: the runner was killed\n'))
    spool.close()
    return spool
  })
}

function listLeftovers(directory: string): { name: LogName; open: boolean }[] {
  const found = []
  for (const runId of listDirectory(directory)) {
    for (const plan of listDirectory(join(directory, runId))) {
      for (const step of listDirectory(join(directory, runId, plan))) {
        for (const file of listDirectory(join(directory, runId, plan, step))) {
          const [attempt, epoch, part, suffix] = file.split('.')
          const parsed = FileName.safeParse({ attempt, epoch, part })
          if (!parsed.success) continue
          found.push({ name: { runId, planDigest: plan.replace('-', ':'), step, ...parsed.data }, open: suffix === 'open' })
        }
      }
    }
  }
  return found
}

function listDirectory(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).map((entry) => entry.name)
}
