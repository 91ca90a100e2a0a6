import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { routes } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import type { LogInfo, Run, Store } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { followLog, type LogPosition } from '../live/follow-log.ts'
import { readLog, selectLogs } from '../live/select-logs.ts'
import { lifeOf, sendEvents } from '../live/send-events.ts'
import { hasStep } from '../live/step-over.ts'
import { refuse } from '../problems.ts'
import { loadRun } from '../run-view.ts'
import { parseRange, type ByteRange } from './byte-range.ts'
import { mount } from './mount.ts'
import { lastEventId, wantsStream } from './run-events.ts'

/** What a step printed: plain text, a range of one log, or a stream that follows it. */
export function mountStepLog(app: FastifyInstance, { store, closing, log }: RouteDeps): void {
  mount(app, routes.readLog, async ({ params, query, request, reply }) => {
    const run = await loadRun(store, { ...query, ...params })
    await checkStep(store, run, params.step)
    const logInput = { runId: run.id, step: params.step, selection: query }
    if (wantsStream(request)) {
      const from = lastEventId(request, /^\d{1,9}\.\d{1,9}\.\d{1,15}$/, parsePosition)
      return sendEvents(reply, { log, events: followLog(store, { ...logInput, from, signal: lifeOf(reply, closing) }) })
    }
    const logs = await selectLogs(store, logInput)
    const [only] = logs
    if (only !== undefined && logs.length === 1) return sendOne(store, reply, { log: only, query, range: request.headers.range })
    if (query.offset !== undefined || query.limit !== undefined) throw notOneLog(logs.length)
    return sendText(store, reply, { logs, sizeBytes: logs.reduce((sum, one) => sum + one.sizeBytes, 0) })
  })
}

/** A step without output is one thing, a name that the run does not have another. */
async function checkStep(store: Store, run: Run, step: string): Promise<void> {
  const plan = run.planDigest === undefined ? undefined : await store.runs.findPlan(run.planDigest)
  if (plan === undefined || hasStep(plan, step)) return
  const known = [...plan.steps, ...plan.finally].map(({ id }) => id)
  throw new BelayError({
    code: 'not_found',
    message: `run ${String(run.number)} has no step ${JSON.stringify(step)}`,
    hint: `Its steps: ${known.slice(0, 50).join(', ')}.`,
  })
}

interface OneLog {
  log: LogInfo
  query: { offset?: number | undefined; limit?: number | undefined }
  range: string | undefined
}

function sendOne(store: Store, reply: FastifyReply, { log, query, range: header }: OneLog): FastifyReply {
  const { sizeBytes } = log
  void reply.header('accept-ranges', 'bytes')
  if (query.offset !== undefined || query.limit !== undefined) {
    const start = Math.min(query.offset ?? 0, sizeBytes)
    return sendText(store, reply, { logs: [log], range: { start, end: Math.min(start + (query.limit ?? sizeBytes), sizeBytes) } })
  }
  const range = parseRange(header, sizeBytes)
  if (range === undefined) return sendText(store, reply, { logs: [log], sizeBytes })
  if (range === 'unsatisfiable') {
    const error = new BelayError({ code: 'range_not_satisfiable', message: `the log has ${String(sizeBytes)} bytes` })
    throw refuse(error, { headers: { 'content-range': `bytes */${String(sizeBytes)}` } })
  }
  const contentRange = `bytes ${String(range.start)}-${String(range.end - 1)}/${String(sizeBytes)}`
  return sendText(store, reply.status(206).header('content-range', contentRange), { logs: [log], range })
}

/** Log bytes are only ever text: never sniffed, never HTML. */
function sendText(
  store: Store,
  reply: FastifyReply,
  input: { logs: LogInfo[]; sizeBytes?: number; range?: ByteRange },
): FastifyReply {
  const length = input.range === undefined ? (input.sizeBytes ?? 0) : input.range.end - input.range.start
  return reply
    .headers({ 'content-type': 'text/plain; charset=utf-8', 'content-length': String(length) })
    .send(Readable.from(readAll(store, input.logs, input.range), { objectMode: false }))
}

async function* readAll(store: Store, logs: LogInfo[], range: ByteRange | undefined): AsyncGenerator<Buffer> {
  for (const log of logs) yield* readLog(store, log, range ?? { start: 0, end: log.sizeBytes })
}

function parsePosition(id: string): LogPosition {
  const [attempt = 0, epoch = 0, offset = 0] = id.split('.').map(Number)
  return { attempt, epoch, offset }
}

function notOneLog(count: number): BelayError {
  return new BelayError({
    code: 'invalid_input',
    message: `offset and limit count within one log, and there are ${String(count)} here`,
    hint: 'Add `attempt` and `epoch`.',
  })
}
