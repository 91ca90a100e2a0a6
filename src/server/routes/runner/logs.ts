import type { FastifyInstance } from 'fastify'
import { logChunkBytes } from '../../../contract/runner-api.ts'
import { BelayError } from '../../../domain/errors.ts'
import { faultPoint } from '../../../process/fault-point.ts'
import type { RouteDeps } from '../../app.ts'
import { refuse } from '../../problems.ts'
import { mount } from '../mount.ts'
import { loadGrant, requireStep } from './grants.ts'
import { runnerRoutes } from './routes.ts'

/** Takes a step's masked output, at the end of its log and nowhere else. */
export function mountRunnerLogs(app: FastifyInstance, { store }: RouteDeps): void {
  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(
      'application/octet-stream',
      { parseAs: 'buffer', bodyLimit: logChunkBytes },
      (_request, body, parsed) => {
        parsed(null, body)
      },
    )
    mount(scope, runnerRoutes.appendLog, async ({ params, query, caller, request }) => {
      const { grant, run } = await loadGrant(store, caller, { late: true })
      requireStep(grant, params.step)
      faultPoint('log.received')
      const { end, gap, truncated } = await store.logs.append(
        { ...params, runId: run.id, epoch: grant.epoch, part: query.part },
        { offset: query.offset, bytes: bytesOf(request.body), final: query.final === '1' },
      )
      faultPoint('log.persisted')
      if (!gap) return { end, truncated }
      const error = new BelayError({ code: 'conflict', message: `the log ends at ${String(end)}`, hint: 'Send from there.' })
      throw refuse(error, { members: { end } })
    })
    done()
  })
}

/** No bytes at all are fine: the close of a log may come alone. */
function bytesOf(body: unknown): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0)
}
