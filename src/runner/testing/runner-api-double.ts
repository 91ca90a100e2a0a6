/** The server's side of the runner API on a real socket, in memory, with faults on demand. For tests. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createHash } from 'node:crypto'
import { EventsReport, PresenceReport, SecretsRequest, SegmentTokenRequest } from '../../contract/runner-api.ts'
import type { Plan } from '../../domain/plan.ts'
import type { RunEvent } from '../../domain/run-event.ts'

export interface LogDouble {
  bytes: Buffer
  closed: boolean
}

export interface RunnerApiDouble {
  url: string
  /** By `<step>/<attempt>/<part>`. */
  logs: Map<string, LogDouble>
  events: RunEvent[]
  presence: PresenceReport[]
  tokens: SegmentTokenRequest[]
  secretsAsked: SecretsRequest[]
  artifacts: Map<string, Buffer>
  plans: Map<string, Plan>
  /** By variable name, given out to every step. */
  secrets: Record<string, string>
  /** Runs that have ended. */
  closedRuns: Set<string>
  /** Answers instead of the double, for as long as it is set; `drop` breaks the connection. */
  fault?: ((request: { method: string; path: string }) => Fault | undefined) | undefined
  stop(): Promise<void>
}

export type Fault = 'drop' | { status: number; body?: unknown }

interface Exchange {
  request: IncomingMessage
  response: ServerResponse
  url: URL
  body: Buffer
}

export async function startRunnerApiDouble(): Promise<RunnerApiDouble> {
  const double: RunnerApiDouble = {
    url: '',
    logs: new Map(),
    events: [],
    presence: [],
    tokens: [],
    secretsAsked: [],
    artifacts: new Map(),
    plans: new Map(),
    secrets: {},
    closedRuns: new Set(),
    stop: async () =>
      await new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  const server = createServer((request, response) => {
    void readBody(request).then((body) =>
      answer(double, { request, response, body, url: new URL(request.url ?? '/', 'http://localhost') }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  double.url = `http://127.0.0.1:${String(address.port)}`
  return double
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
}

function answer(double: RunnerApiDouble, exchange: Exchange): void {
  const { request, response, url } = exchange
  const fault = double.fault?.({ method: request.method ?? '', path: url.pathname })
  if (fault === 'drop') response.destroy()
  else if (fault !== undefined) send(response, fault.status, fault.body)
  else route(double, exchange)
}

function route(double: RunnerApiDouble, { response, url, body }: Exchange): void {
  const [, kind = '', first = '', second = ''] =
    /^\/api\/v1\/runner\/([a-z]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(url.pathname) ?? []
  const json = () => JSON.parse(body.toString()) as unknown
  switch (kind) {
    case 'presence':
      double.presence.push(PresenceReport.parse(json()))
      return send(response, 204)
    case 'segments':
      double.tokens.push(SegmentTokenRequest.parse(json()))
      return send(response, 200, { token: `token-${String(double.tokens.length)}`, expiresAt: Date.now() + 3_600_000 })
    case 'plans': {
      const plan = double.plans.get(decodeURIComponent(first))
      return plan === undefined ? send(response, 404, { code: 'not_found', detail: 'no such plan' }) : send(response, 200, plan)
    }
    case 'closed': {
      const { runIds } = json() as { runIds: string[] }
      return send(response, 200, { closed: runIds.filter((id) => double.closedRuns.has(id)) })
    }
    case 'events':
      double.events.push(...EventsReport.parse(json()).events)
      return send(response, 204)
    case 'secrets':
      double.secretsAsked.push(SecretsRequest.parse(json()))
      return send(response, 200, { env: double.secrets })
    case 'logs':
      return appendLog(double, { key: `${first}/${second}/${url.searchParams.get('part') ?? 'step'}`, url, body, response })
    case 'artifacts': {
      const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
      if (digest !== decodeURIComponent(first)) return send(response, 422, { code: 'mismatch', detail: 'another digest' })
      double.artifacts.set(digest, body)
      return send(response, 201)
    }
    default:
      return send(response, 404, { code: 'not_found', detail: url.pathname })
  }
}

function appendLog(double: RunnerApiDouble, input: { key: string; url: URL; body: Buffer; response: ServerResponse }): void {
  const log = double.logs.get(input.key) ?? { bytes: Buffer.alloc(0), closed: false }
  double.logs.set(input.key, log)
  const offset = Number(input.url.searchParams.get('offset'))
  if (offset > log.bytes.length) return send(input.response, 409, { end: log.bytes.length })
  const fresh = input.body.subarray(log.bytes.length - offset)
  log.bytes = Buffer.concat([log.bytes, fresh])
  log.closed ||= input.url.searchParams.get('final') === '1'
  return send(input.response, 200, { end: log.bytes.length, truncated: false })
}

function send(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(body === undefined ? undefined : JSON.stringify(body))
}
