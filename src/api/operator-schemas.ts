import { z } from 'zod'
import { DeliveryAnswer } from '../domain/delivery.ts'
import { Release } from '../domain/release.ts'
import { PageQuery, pageOf } from './pages.ts'

export const ProjectPageQuery = PageQuery.extend({ project: z.string().max(200).optional() })

export const DeliveryView = z.object({
  id: z.string(),
  sequence: z.number().int(),
  project: z.string(),
  forge: z.string(),
  deliveryId: z.string(),
  event: z.string(),
  bodyDigest: z.string(),
  receivedAt: z.number(),
  answer: DeliveryAnswer,
})
export type DeliveryView = z.infer<typeof DeliveryView>
export const DeliveryPage = pageOf(DeliveryView)

export const ReleasePage = pageOf(Release)

export const RunnerView = z.object({
  runner: z.string(),
  slots: z.number().int(),
  busy: z.number().int(),
  labels: z.array(z.string()),
  seenAt: z.number(),
  status: z.enum(['ACTIVE', 'INACTIVE']),
  /** When that was noticed (ms since 1970). */
  since: z.number(),
})
export type RunnerView = z.infer<typeof RunnerView>
export const RunnerList = z.object({ items: z.array(RunnerView) })

export const AuditEntry = z.object({
  seq: z.number().int(),
  at: z.number(),
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  data: z.record(z.string(), z.unknown()),
})
export type AuditEntry = z.infer<typeof AuditEntry>
export const AuditPage = pageOf(AuditEntry)

export const ProjectView = z.object({
  name: z.string(),
  /** Without credentials. */
  repository: z.string(),
  forge: z.string(),
  environments: z.array(z.string()),
  /** Where its forge posts to. */
  hookUrl: z.string(),
  /** False: every hook is refused. */
  hookSecret: z.boolean(),
  pollMs: z.number().optional(),
})
export type ProjectView = z.infer<typeof ProjectView>
export const ProjectList = z.object({ items: z.array(ProjectView) })

export const Health = z.object({
  status: z.enum(['ok', 'ready']),
  /** Ready, but no run begins. */
  warning: z.string().optional(),
})
