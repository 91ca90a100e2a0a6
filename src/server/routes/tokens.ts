import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import { parseDurationMs } from '../../config/scalars.ts'
import { BelayError } from '../../domain/errors.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { mount } from './mount.ts'

/** Tokens: made, listed and revoked, never so that no admin is left, now or later. Only the answer to `create` holds the token itself. */
export function mountTokens(app: FastifyInstance, { store, log }: RouteDeps): void {
  mount(app, routes.listTokens, ({ query }) => store.tokens.list(query))

  mount(app, routes.createToken, async ({ body, caller }) => {
    const { name, role, expires_in: expiresIn, replace = false } = body
    const until = expiresIn === undefined ? {} : { expiresAt: Date.now() + parseLifetimeMs(expiresIn) }
    const issued = await store.tokens.issue({ name, role, ...until, replace, actor: actorOf(caller).id })
    if (issued.type === 'taken') throw taken(name)
    if (issued.type === 'last_admin') throw lastAdmin(name)
    log.info({ token: name, role }, 'token created')
    return { name, role, token: issued.token, ...until }
  })

  mount(app, routes.revokeToken, async ({ params, caller, reply }) => {
    const { name } = params
    const end = await store.tokens.revoke({ name, actor: actorOf(caller).id })
    if (end === 'unknown') throw unknown(name)
    if (end === 'last_admin') throw lastAdmin(name)
    log.info({ token: name }, 'token revoked')
    return reply.send()
  })
}

const longestLifetimeMs = 3650 * 86_400_000

function parseLifetimeMs(text: string): number {
  const ms = parseDurationMs(text)
  if (ms !== undefined && ms > 0 && ms <= longestLifetimeMs) return ms
  throw new BelayError({
    code: 'invalid_input',
    message: `expires_in: ${JSON.stringify(text)} is not a time that a token may last`,
    hint: 'Write 30m, 12h or 30d, up to 3650d; leave it out for one that does not expire.',
  })
}

function lastAdmin(name: string): BelayError {
  return new BelayError({
    code: 'conflict',
    message: `"${name}" is the last valid admin token, and one that expires does not take its place: without it nobody could manage this server`,
    hint: 'Make another one before, without an expiry: belay token create NAME --role admin.',
  })
}

function unknown(name: string): BelayError {
  return new BelayError({
    code: 'not_found',
    message: `there is no token named ${JSON.stringify(name)}`,
    hint: '`belay token list` shows them.',
  })
}

function taken(name: string): BelayError {
  return new BelayError({
    code: 'conflict',
    message: `there is a token named "${name}" already`,
    hint: 'Take another name, or replace it (`--replace`, in the API `"replace": true`): the older one then ends.',
  })
}
