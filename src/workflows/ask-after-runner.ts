import { sleep } from '@temporalio/workflow'
import { inline } from './activities.ts'

/**
 * Between asking twice: often while it may only just have been lost, ever more rarely as the wait gets longer. Each time costs
 * the history some events, and an undo may wait for days.
 */
const ask = { firstMs: 1_000, share: 1 / 20, mostMs: 5 * 60_000 } as const

/** Until the runner is asked after again, of a wait that has taken so long. */
export function askAgainMs(waitedMs: number): number {
  return Math.min(Math.max(ask.firstMs, Math.round(waitedMs * ask.share)), ask.mostMs)
}

export interface Question {
  runner: string
  /** It was cut off in mid-work: what it reported before that says nothing. */
  wasSilent: boolean
  /** Called once, if it has to be waited for. */
  waiting(): void
}

/**
 * Where the work of a runner that is not heard of goes on: `there` as soon as it reports, `elsewhere` once it counts as
 * INACTIVE and another one is ACTIVE, whichever comes first.
 */
export async function askAfterRunner({ runner, wasSilent, waiting }: Question): Promise<'there' | 'elsewhere'> {
  const asked = Date.now()
  let told = false
  let firstSeenAt: number | undefined
  for (;;) {
    const { active, seenAt, seenMsAgo, others } = await inline.findRunner({ runner })
    firstSeenAt ??= seenAt
    // Never by this workflow's clock, which a replay may tell otherwise: docs/changing-a-workflow.md, "Time".
    const isNews = seenAt === undefined ? (seenMsAgo ?? 0) < Date.now() - asked : seenAt !== firstSeenAt
    if (active && (!wasSilent || isNews)) return 'there'
    if (!active && others) return 'elsewhere'
    if (!active && !told) {
      told = true
      waiting()
    }
    await sleep(askAgainMs(Date.now() - asked))
  }
}
