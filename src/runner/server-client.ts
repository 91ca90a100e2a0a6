/** What the runner says to the server: one function per route of `contract/runner-api.ts`. Nothing is retried here. */
import { z } from 'zod'
import { ClosedResponse, LogAppended, PayloadKeys, runnerPaths, SecretsResponse, SegmentToken } from '../contract/runner-api.ts'
import type { EventsReport, PresenceReport, SecretsRequest, SegmentTokenRequest } from '../contract/runner-api.ts'
import { BelayError } from '../domain/errors.ts'
import { Plan } from '../domain/plan.ts'
import { errorFromAnswer, parseJson, readJson, readText, requireOk, sendRequest, type RequestInput } from './server-request.ts'

export interface LogPart {
  step: string
  attempt: number
  part: 'step' | 'undo' | 'finally'
  offset: number
  bytes: Uint8Array
  final: boolean
}

/**
 * Every call throws `BelayError`: `unavailable` (retryable: the server is away, busy or broken), `unauthenticated`,
 * `forbidden`, `not_found`, `stale` (a newer epoch), `conflict` (the run has ended), `refused`, `mismatch`.
 */
export interface ServerClient {
  reportPresence(report: PresenceReport, signal: AbortSignal): Promise<void>
  fetchPlan(digest: string, signal: AbortSignal): Promise<Plan>
  requestSegmentToken(request: SegmentTokenRequest, signal?: AbortSignal): Promise<SegmentToken>
  /** Names of the keys of what goes through Temporal. */
  fetchPayloadKeys(): Promise<z.output<typeof PayloadKeys>>
  /** Which of these runs have ended? */
  askClosed(runIds: string[]): Promise<string[]>
  fetchArtifact(digest: string): Promise<AsyncIterable<Uint8Array>>
  reportEvents(token: string, report: EventsReport): Promise<void>
  fetchSecrets(token: string, request: SecretsRequest, signal: AbortSignal): Promise<SecretsResponse>
  /** `end` is where the log ends now; after a gap (nothing was taken) too: the caller goes on from there. */
  appendLog(token: string, part: LogPart, signal: AbortSignal): Promise<LogAppended>
  putArtifact(token: string, digest: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
}

const LogGap = z.object({ end: z.number().int().nonnegative() })

export function createServerClient(options: { serverUrl: string; token: string }): ServerClient {
  const send = async (path: string, init: Omit<RequestInput, 'url' | 'token'> & { token?: string }) =>
    await sendRequest({ token: options.token, ...init, url: new URL(path, options.serverUrl) })
  const ask = async (...args: Parameters<typeof send>) => await requireOk(await send(...args))
  return {
    async reportPresence(report, signal) {
      await ask(runnerPaths.presence, { method: 'POST', json: report, signal })
    },
    async fetchPlan(digest, signal) {
      return await readJson(await ask(runnerPaths.plan(digest), { signal }), Plan)
    },
    async requestSegmentToken(request, signal) {
      return await readJson(await ask(runnerPaths.segments, { method: 'POST', json: request, signal }), SegmentToken)
    },
    async fetchPayloadKeys() {
      return await readJson(await ask(runnerPaths.payloadKeys, {}), PayloadKeys)
    },
    async askClosed(runIds) {
      return (await readJson(await ask(runnerPaths.closed, { method: 'POST', json: { runIds } }), ClosedResponse)).closed
    },
    async fetchArtifact(digest) {
      const { body } = await ask(runnerPaths.artifact(digest), { unhurried: true })
      if (body === null) throw new BelayError({ code: 'unavailable', message: 'the server sent no artifact', retryable: true })
      return body
    },
    async reportEvents(token, report) {
      await ask(runnerPaths.events, { token, method: 'POST', json: report })
    },
    async fetchSecrets(token, request, signal) {
      return await readJson(await ask(runnerPaths.secrets, { token, method: 'POST', json: request, signal }), SecretsResponse)
    },
    async appendLog(token, log, signal) {
      const response = await send(logPath(log), { token, method: 'PUT', body: log.bytes, signal })
      if (response.status !== 409) return await readJson(await requireOk(response), LogAppended)
      const text = await readText(response)
      const gap = LogGap.safeParse(parseJson(text))
      if (gap.success) return { end: gap.data.end, truncated: false }
      throw errorFromAnswer(response, text)
    },
    async putArtifact(token, digest, body, signal) {
      await ask(runnerPaths.artifact(digest), { token, method: 'PUT', body, signal, unhurried: true })
    },
  }
}

function logPath(log: LogPart): string {
  const query = new URLSearchParams({ offset: String(log.offset) })
  if (log.part !== 'step') query.set('part', log.part)
  if (log.final) query.set('final', '1')
  return `${runnerPaths.log(log.step, log.attempt)}?${query.toString()}`
}
