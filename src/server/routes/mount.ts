import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Route } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import type { Caller } from '../auth/roles.ts'

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined

/** What a handler gets: everything parsed by the route's own schemas. */
export interface Call<R extends Route> {
  params: Parsed<R['params']>
  query: Parsed<R['query']>
  body: Parsed<R['body']>
  caller: Caller
  /** The `Idempotency-Key` header, on routes that take one. */
  idempotencyKey: string | undefined
  request: FastifyRequest
  reply: FastifyReply
}

/** What it returns: the route's answer, or the reply if it has sent something itself. */
export type Answer<R extends Route> = R['response'] extends z.ZodType ? z.output<R['response']> | FastifyReply : FastifyReply

/** Adds a route of the table: its schemas validate the request and filter the answer, its rule guards it. */
export function mount<R extends Route>(app: FastifyInstance, route: R, handle: (call: Call<R>) => Promise<Answer<R>>): void {
  app.route({
    method: route.method,
    url: route.path,
    config: { access: route.access },
    schema: {
      ...(route.params === undefined ? {} : { params: route.params }),
      ...(route.query === undefined ? {} : { querystring: route.query }),
      ...(route.body === undefined ? {} : { body: route.body }),
      ...(route.response === undefined ? {} : { response: { [route.status]: route.response } }),
    },
    ...(route.body === undefined ? {} : { preValidation: allowNoBody }),
    async handler(request, reply) {
      reply.status(route.status)
      return handle({
        params: request.params as Parsed<R['params']>,
        query: request.query as Parsed<R['query']>,
        body: request.body as Parsed<R['body']>,
        caller: request.caller ?? { type: 'anyone' },
        idempotencyKey: route.idempotent === true ? idempotencyKeyOf(request) : undefined,
        request,
        reply,
      })
    },
  })
}

/** No body is an empty one: `curl -X POST` works where nothing has to be said. */
function allowNoBody(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  request.body ??= {}
  done()
}

function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined || (typeof key === 'string' && /^[\x21-\x7e]{1,200}$/.test(key))) return key
  throw new BelayError({
    code: 'invalid_input',
    message: 'the Idempotency-Key is not usable',
    hint: 'Send 1 to 200 printable ASCII characters without spaces, for example a UUID.',
  })
}
