/** The routes of the runner API: paths and shapes are the contract's, the rules are here. */
import { z } from 'zod'
import type { Route } from '../../../api/routes.ts'
import {
  ClosedRequest,
  ClosedResponse,
  EventsReport,
  LogAppended,
  PayloadKeys,
  PresenceReport,
  runnerPaths,
  SecretsRequest,
  SecretsResponse,
  SegmentToken,
  SegmentTokenRequest,
} from '../../../contract/runner-api.ts'
import { Plan } from '../../../domain/plan.ts'
import { Digest } from '../../../domain/step.ts'

const LogParams = z.object({ step: z.string().min(1).max(200), attempt: z.coerce.number().int().positive() })
const AppendQuery = z.object({
  offset: z.coerce.number().int().nonnegative(),
  part: z.enum(['step', 'undo', 'finally']).default('step'),
  final: z.literal('1').optional(),
})
const DigestParams = z.object({ digest: Digest })

/** The contract's paths are made from values, so a pattern is a path made from its own parameter names. */
const patterns = {
  plan: runnerPaths.plan('DIGEST').replace('DIGEST', ':digest'),
  log: '/api/v1/runner/logs/:step/:attempt',
  artifact: runnerPaths.artifact('DIGEST').replace('DIGEST', ':digest'),
}

export const runnerRoutes = {
  presence: { method: 'POST', path: runnerPaths.presence, access: 'runner', body: PresenceReport, status: 204 },
  segments: {
    method: 'POST',
    path: runnerPaths.segments,
    access: 'runner',
    body: SegmentTokenRequest,
    status: 200,
    response: SegmentToken,
  },
  plan: { method: 'GET', path: patterns.plan, access: 'runner', params: DigestParams, status: 200, response: Plan },
  closed: {
    method: 'POST',
    path: runnerPaths.closed,
    access: 'runner',
    body: ClosedRequest,
    status: 200,
    response: ClosedResponse,
  },
  payloadKeys: { method: 'GET', path: runnerPaths.payloadKeys, access: 'runner', status: 200, response: PayloadKeys },
  events: { method: 'POST', path: runnerPaths.events, access: 'segment', body: EventsReport, status: 204 },
  secrets: {
    method: 'POST',
    path: runnerPaths.secrets,
    access: 'segment',
    body: SecretsRequest,
    status: 200,
    response: SecretsResponse,
  },
  appendLog: {
    method: 'PUT',
    path: patterns.log,
    access: 'segment',
    params: LogParams,
    query: AppendQuery,
    status: 200,
    response: LogAppended,
  },
  putArtifact: { method: 'PUT', path: patterns.artifact, access: 'segment', params: DigestParams, status: 201 },
  getArtifact: { method: 'GET', path: patterns.artifact, access: 'runner_or_segment', params: DigestParams, status: 200 },
} as const satisfies Record<string, Route>
