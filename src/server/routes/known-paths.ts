import type { FastifyRequest } from 'fastify'
import { BelayError } from '../../domain/errors.ts'
import { refuse } from '../problems.ts'

/** Tells a path that is not there (404) from one that is, for other methods (405 with `Allow`). */
export function createKnownPaths() {
  const known: { pattern: RegExp; methods: readonly string[] }[] = []
  return {
    add(path: string, method: string | string[]): void {
      const pattern = new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/:\w+/g, '[^/]+')}$`)
      known.push({ pattern, methods: [method].flat() })
    },
    refusalOf(request: FastifyRequest): BelayError {
      const [path = ''] = request.url.split('?')
      const methods = known.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods)
      if (methods.length === 0) return new BelayError({ code: 'not_found', message: 'there is nothing here' })
      const allow = [...new Set(methods)].join(', ')
      const error = new BelayError({
        code: 'method_not_allowed',
        message: `${request.method} is not for this address`,
        hint: `It takes ${allow}.`,
      })
      return refuse(error, { headers: { allow } })
    },
  }
}
