import { createHash, randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { FreezeEnvironment } from '../../api/environment-schemas.ts'
import { routes } from '../../api/routes.ts'
import { parseDurationMs } from '../../config/scalars.ts'
import type { FreezeChanged } from '../../contract/environment-workflow.ts'
import { BelayError } from '../../domain/errors.ts'
import { checkTimes, parseInstant } from '../../domain/freeze-times.ts'
import type { Freeze, FreezeTimes } from '../../domain/freeze.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { frozenAt, loadEnvironment } from '../environment-view.ts'
import { mount } from './mount.ts'

const longestMs = 31 * 86_400_000
const shortestMs = 60_000

/** Freeze windows: a person opens and lifts them. What they mean, the environment decides. */
export function mountFreezes(app: FastifyInstance, { config, store, orchestrator, log }: RouteDeps): void {
  mount(app, routes.freeze, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const actor = actorOf(caller)
    const at = Date.now()
    const id = `freeze/${actor.id}/${idempotencyKey ?? randomUUID()}`
    const times = timesOf(body, at)
    checkTimes(times, at)
    const reason = body.reason === undefined ? {} : { reason: body.reason }
    const freeze: Freeze = { id: shortId(id), times, actor, ...reason, at }
    const data = { freeze: freeze.id, ...body, request: id }
    await store.audit.write({ actor: actor.id, action: 'environment.freeze', subject: name, data })
    faultPoint('freeze.asked')
    const changed = await orchestrator.freeze({ type: 'freeze', id, environment: name, freeze })
    faultPoint('freeze.queued')
    log.info({ environment: name, freeze: freeze.id }, 'a freeze window was opened')
    return answer(name, changed)
  })

  mount(app, routes.unfreeze, async ({ params, body, caller, idempotencyKey }) => {
    const { name } = loadEnvironment(config, params.name)
    const actor = actorOf(caller)
    const id = `unfreeze/${actor.id}/${idempotencyKey ?? randomUUID()}`
    await store.audit.write({ actor: actor.id, action: 'environment.unfreeze', subject: name, data: { ...body, request: id } })
    const freezeId = body.freeze === undefined ? {} : { freezeId: body.freeze }
    faultPoint('unfreeze.asked')
    const changed = await orchestrator.freeze({ type: 'unfreeze', id, environment: name, ...freezeId, actor })
    faultPoint('unfreeze.queued')
    log.info({ environment: name, freeze: changed.freeze.id }, 'a freeze window was lifted')
    return answer(name, changed)
  })

  async function answer(name: string, changed: FreezeChanged) {
    const { state } = await store.environments.load(name)
    return { ...changed, ...frozenAt(state?.freezes ?? [], Date.now()) }
  }
}

/** For people to type; of the request, so that a repeat makes no second window. */
function shortId(requestId: string): string {
  return `f-${createHash('sha256').update(requestId).digest('hex').slice(0, 8)}`
}

function timesOf(body: FreezeEnvironment, now: number): FreezeTimes {
  const { from, until, cron, time_zone: zone } = body
  const forMs = body.for === undefined ? undefined : durationOf(body.for)
  if (cron !== undefined) {
    if (from !== undefined || until !== undefined)
      throw invalid('`cron` begins again and again: it has no `from` and no `until`', 'Say `for` how long each time.')
    if (forMs === undefined) throw invalid('a window by `cron` lasts for how long?', 'Say `for`, like 62h.')
    if (zone === undefined)
      throw invalid('a window by `cron` goes by the clock of which time zone?', 'Say `time_zone`, like Europe/Berlin or UTC.')
    return { type: 'recurring', cron, forMs, timeZone: zone }
  }
  if ((until === undefined) === (forMs === undefined))
    throw invalid('a freeze needs an end', 'Say either `until` when or `for` how long.')
  const begins = from === undefined ? now : parseInstant(from, 'from', zone)
  const ends = until === undefined ? begins + (forMs ?? 0) : parseInstant(until, 'until', zone)
  return { type: 'once', from: begins, until: ends, timeZone: zone ?? 'UTC' }
}

function durationOf(text: string): number {
  const ms = parseDurationMs(text)
  if (ms !== undefined && ms >= shortestMs && ms <= longestMs) return ms
  throw invalid(`for: ${JSON.stringify(text)} is not a time that a freeze may last`, 'Write 90m, 62h or 3d: from 1m to 31d.')
}

function invalid(message: string, hint: string): BelayError {
  return new BelayError({ code: 'invalid_input', message, hint })
}
