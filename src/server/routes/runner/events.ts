import type { FastifyInstance } from 'fastify'
import { BelayError } from '../../../domain/errors.ts'
import type { RunEvent } from '../../../domain/run-event.ts'
import { faultPoint } from '../../../process/fault-point.ts'
import type { SegmentGrant } from '../../../store/store.ts'
import type { RouteDeps } from '../../app.ts'
import { mount } from '../mount.ts'
import { loadGrant } from './grants.ts'
import { runnerRoutes } from './routes.ts'

/** Early news of steps: only what the token's own segment may know. Control's outcomes win later. */
export function mountRunnerEvents(app: FastifyInstance, { store }: RouteDeps): void {
  mount(app, runnerRoutes.events, async ({ body, caller, reply }) => {
    const { grant, run } = await loadGrant(store, caller)
    if (!body.events.every((event) => isOwn(event, grant))) {
      throw new BelayError({ code: 'forbidden', message: "these events are not all of this segment's steps, runner and epoch" })
    }
    faultPoint('events.received')
    if (body.events.length > 0) await store.runs.record(run.id, body.events)
    faultPoint('events.persisted')
    return reply.send()
  })
}

function isOwn({ source, epoch, body }: RunEvent, grant: SegmentGrant): boolean {
  return (
    source === `runner/${grant.runner}` &&
    epoch === grant.epoch &&
    body.type === 'step' &&
    body.change.epoch === grant.epoch &&
    grant.steps.includes(body.change.step)
  )
}
