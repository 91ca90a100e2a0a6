import type { IncomingHttpHeaders } from 'node:http'
import type { Access } from '../../api/routes.ts'
import { BelayError } from '../../domain/errors.ts'
import type { Actor } from '../../domain/trigger.ts'
import type { Store } from '../../store/store.ts'
import { allowsRole, allowsSegment, type Caller } from './roles.ts'

/**
 * Who is calling, if the rule lets them in. Throws `unauthenticated` for no token or one that is unknown, expired or
 * revoked, `forbidden` for one that may not.
 */
export async function authenticate(store: Store, input: { access: Access; headers: IncomingHttpHeaders }): Promise<Caller> {
  const { access } = input
  if (access === 'public') return { type: 'anyone' }
  const token = bearerOf(input.headers)
  if (token === undefined) throw unauthenticated('this needs a token')
  const person = await store.tokens.find(token)
  if (person !== undefined) {
    if (allowsRole(access, person.role)) return { type: 'token', ...person }
    throw forbidden(`a ${person.role} may not do this`, access)
  }
  const grant = await store.tokens.findSegmentGrant(token)
  if (grant === undefined) throw unauthenticated('this token is unknown, expired or revoked')
  if (allowsSegment(access)) return { type: 'segment', grant }
  throw forbidden("a segment's token may not do this", access)
}

/** The person behind a call, as runs and the audit name them. */
export function actorOf(caller: Caller): Actor {
  if (caller.type !== 'token') throw new BelayError({ code: 'internal', message: 'this call has no person behind it' })
  return { id: `token:${caller.name}`.slice(0, 200), name: caller.name }
}

function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  return /^Bearer +([\w.~+/=-]{1,512})$/i.exec(headers.authorization ?? '')?.[1]
}

function unauthenticated(message: string): BelayError {
  return new BelayError({ code: 'unauthenticated', message, hint: 'Send it as `Authorization: Bearer TOKEN`.' })
}

function forbidden(message: string, access: Access): BelayError {
  return new BelayError({ code: 'forbidden', message, hint: `It needs the role ${access.replaceAll('_', ' ')}.` })
}
