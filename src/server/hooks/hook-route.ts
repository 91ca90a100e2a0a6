/** Where a webhook is taken: `POST /hooks/<project>`. The store makes a run of it, the dispatcher a workflow. */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { findForge, forges } from '../../drivers/forges/index.ts'
import type { Forge } from '../../drivers/forges/forge.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { Accepted } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { runUrl } from '../run-view.ts'
import { parseContentType, parseHookBody } from './hook-body.ts'

export const hookLimitBytes = 1024 * 1024

/**
 * In this order: other methods 405, too large 413, not JSON's type 415, badly signed or unknown 401, not JSON 400, then
 * one transaction. Nothing is answered with a 2xx before it is on disk.
 */
export function mountHooks(app: FastifyInstance, deps: RouteDeps): void {
  void app.register((scope, _options, done) => {
    // The signature is over the bytes as they came, so nothing parses them here.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: hookLimitBytes }, (_request, body, parsed) => {
      parsed(null, body)
    })
    scope.post<{ Params: { project: string } }>('/hooks/:project', { config: { access: 'public' } }, (request, reply) =>
      takeDelivery(deps, request, reply, request.params.project),
    )
    done()
  })
}

async function takeDelivery(
  deps: RouteDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  project: string,
): Promise<FastifyReply> {
  const form = parseContentType(request.headers['content-type'])
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const forge = authenticateDelivery(deps, { headers: request.headers, body, project })
  const document = parseHookBody(body, form)
  const event = forge.eventOf({ headers: request.headers, body: document })
  const deliveryId = forge.findDeliveryId(request.headers)
  if (deliveryId === undefined) throw new BelayError({ code: 'invalid_input', message: 'the delivery has no id of its own' })
  const line = { project, forge: forge.name, event, delivery: deliveryId }
  const parsed = forge.parseDelivery({ headers: request.headers, body: document })
  faultPoint('hook.received')
  const accepted = await accept(deps, line, {
    project,
    forge: forge.name,
    deliveryId,
    event,
    bodyDigest: `sha256:${createHash('sha256').update(body).digest('hex')}`,
    parsed,
    runUrl: (runId) => runUrl(deps.config, runId),
  })
  faultPoint('hook.persisted')
  reply.raw.once('finish', () => faultPoint('hook.answered'))
  deps.log.info({ ...line, ...summaryOf(accepted) }, `delivery ${accepted.type}`)
  if (accepted.type === 'conflict') {
    throw new BelayError({ code: 'conflict', message: 'another delivery of this id came before, with another body' })
  }
  return reply.status(accepted.type === 'accepted' ? 202 : 200).send(accepted.answer)
}

type HookInput = { headers: FastifyRequest['headers']; body: Buffer; project: string }

/** An unknown project, one without a secret, and a bad signature cost the same work and get the same answer. */
function authenticateDelivery({ config, log }: RouteDeps, { headers, body, project }: HookInput): Forge {
  const known = Object.hasOwn(config.projects, project) ? config.projects[project] : undefined
  const forge = (known === undefined ? undefined : findForge(known.forge)) ?? forges[0]
  const ours = known?.webhookSecrets ?? []
  const secrets = ours.length > 0 ? ours : ['nobody signs with this']
  const signed = forge.verify({ headers, body, secrets, now: Date.now() })
  if (signed && ours.length > 0 && forge.recognises(headers)) return forge
  log.warn({ project: known === undefined ? 'unknown' : project }, 'delivery refused: not signed by this project')
  throw new BelayError({
    code: 'unauthenticated',
    message: 'this is no signed delivery for a project here',
    hint: 'Compare its secret with `webhook_secret` of the project, its sender with `forge`, and, if it signs the time, the clocks.',
  })
}

async function accept(
  { store, log }: RouteDeps,
  line: Record<string, string>,
  input: Parameters<RouteDeps['store']['deliveries']['accept']>[0],
): Promise<Accepted> {
  try {
    return await store.deliveries.accept(input)
  } catch (error) {
    log.error({ ...line, error: messageOf(error) }, 'delivery not taken')
    throw error
  }
}

function summaryOf(accepted: Accepted): Record<string, unknown> {
  if (accepted.type === 'conflict') return {}
  return 'run' in accepted.answer ? { run: accepted.answer.run.id, number: accepted.answer.run.number } : accepted.answer
}
