import type { FastifyInstance } from 'fastify'
import { BelayError } from '../../../domain/errors.ts'
import { faultPoint } from '../../../process/fault-point.ts'
import type { RouteDeps } from '../../app.ts'
import { refuse } from '../../problems.ts'
import { mount } from '../mount.ts'
import { loadGrant } from './grants.ts'
import { runnerRoutes } from './routes.ts'

/** Files by digest: streamed in and out, never held whole. */
export function mountArtifacts(app: FastifyInstance, { store }: RouteDeps): void {
  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    // Not read here: the handler streams the request itself.
    scope.addContentTypeParser('*', (_request, _payload, parsed) => {
      parsed(null)
    })
    mount(scope, runnerRoutes.putArtifact, async ({ params, caller, request, reply }) => {
      await loadGrant(store, caller)
      const { created } = await keep(() => store.blobs.put(params.digest, request.raw))
      faultPoint('artifact.persisted')
      return reply.status(created ? 201 : 200).send()
    })
    done()
  })

  mount(app, runnerRoutes.getArtifact, async ({ params, reply }) => {
    const bytes = await store.blobs.read(params.digest)
    return reply.header('content-type', 'application/octet-stream').send(bytes)
  })
}

/** The contract's 422: these bytes have another digest. */
async function keep<T>(put: () => Promise<T>): Promise<T> {
  try {
    return await put()
  } catch (error) {
    if (error instanceof BelayError && error.code === 'mismatch') throw refuse(error, { status: 422 })
    throw error
  }
}
