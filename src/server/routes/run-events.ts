import type { FastifyInstance, FastifyRequest } from 'fastify'
import { routes } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import { isEndedRun } from '../../domain/run.ts'
import type { RouteDeps } from '../app.ts'
import { followRun } from '../live/follow-run.ts'
import { lifeOf, sendEvents } from '../live/send-events.ts'
import { loadRun } from '../run-view.ts'
import { mount } from './mount.ts'

const standardLimit = 200

/** A run's events: one page of JSON, or a stream. */
export function mountRunEvents(app: FastifyInstance, { store, closing, log }: RouteDeps): void {
  mount(app, routes.listRunEvents, async ({ params, query, request, reply }) => {
    const run = await loadRun(store, { ...query, ...params })
    const after = lastEventId(request, /^\d{1,15}$/, Number) ?? query.after ?? 0
    if (wantsStream(request)) {
      return sendEvents(reply, { log, events: followRun(store, { runId: run.id, after, signal: lifeOf(reply, closing) }) })
    }
    const limit = query.limit ?? standardLimit
    const items = await store.runs.events(run.id, { after, limit })
    return { items, next: items.at(-1)?.seq ?? after, end: isEndedRun(run.status) && items.length < limit }
  })
}

export function wantsStream(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').includes('text/event-stream')
}

/** Where a reader of a stream was, parsed; undefined at its first connection. Throws `invalid_input`. */
export function lastEventId<T>(request: FastifyRequest, shape: RegExp, parse: (id: string) => T): T | undefined {
  const id = request.headers['last-event-id']
  if (id === undefined || id === '') return undefined
  if (typeof id === 'string' && shape.test(id)) return parse(id)
  throw new BelayError({ code: 'invalid_input', message: 'this Last-Event-ID is not one of this stream' })
}
