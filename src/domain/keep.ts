import { z } from 'zod'

/** How long what is kept, in ms. */
export interface Keep {
  logsMs: number
  runsMs: number
  artifactsMs: number
  deliveriesMs: number
}

/** What a clean-up removes, in the order in which it does: what names something before what it names. */
export const sweepKinds = [
  'logs',
  'log_files',
  'releases',
  'artifacts',
  'blobs',
  'images',
  'commands',
  'segment_tokens',
  'deployments',
  'runs',
  'deliveries',
  'plans',
  'outbox',
] as const
export const SweepKind = z.enum(sweepKinds)
export type SweepKind = z.infer<typeof SweepKind>

/** What went, or would go, of one kind. */
export const Swept = z.object({
  kind: SweepKind,
  count: z.number().int().nonnegative(),
  /** Of the files; rows have no size that anybody could tell. */
  bytes: z.number().int().nonnegative(),
})
export type Swept = z.infer<typeof Swept>

/** Adds up by kind, in order; kinds of which nothing went are left out. */
export function addUp(all: readonly Swept[]): Swept[] {
  return sweepKinds.flatMap((kind) => {
    const ours = all.filter((one) => one.kind === kind)
    const count = ours.reduce((sum, one) => sum + one.count, 0)
    const bytes = ours.reduce((sum, one) => sum + one.bytes, 0)
    return count === 0 ? [] : [{ kind, count, bytes }]
  })
}

/** Why it goes, in words. */
export function whySwept(kind: SweepKind, keep: Keep): string {
  switch (kind) {
    case 'logs':
      return `of runs that ended over ${days(keep.logsMs)} ago`
    case 'log_files':
      return 'left by a kill: no log has them'
    case 'releases':
      return `not deployable any more: over ${days(keep.artifactsMs)} old, and none of the last 50 of an environment`
    case 'artifacts':
      return `of runs that ended over ${days(keep.artifactsMs)} ago, and no release that is kept has them`
    case 'blobs':
      return 'the bytes of artifacts that nothing names any more'
    case 'images':
      return `on this disk: over ${days(keep.artifactsMs)} old, and of no release that is kept`
    case 'deployments':
      return `ended over ${days(keep.runsMs)} ago`
    case 'runs':
      return `ended over ${days(keep.runsMs)} ago, with their steps and events`
    case 'deliveries':
      return `came over ${days(keep.deliveriesMs)} ago`
    case 'plans':
      return 'of runs that are not kept'
    case 'commands':
    case 'outbox':
      return 'delivered over 7 d ago'
    case 'segment_tokens':
      return 'expired'
  }
}

function days(ms: number): string {
  return `${String(Math.round(ms / 86_400_000))} d`
}
