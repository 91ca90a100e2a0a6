/** Our own looks at the store, while its database is broken as well. */
import { BelayError } from '../../src/domain/errors.ts'

const againMs = 250

/** The same port; what it says cannot be read now is read again, for so long. For what only reads: a call may be made twice. */
export function patient<T extends object>(port: T, withinMs = 120_000): T {
  return new Proxy(port, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name)
      if (typeof found === 'function') {
        const call = (args: unknown[]): unknown => Reflect.apply(found as () => unknown, target, args)
        return (...args: unknown[]) => insist(() => call(args), Date.now() + withinMs)
      }
      return typeof found === 'object' && found !== null ? patient(found, withinMs) : found
    },
  })
}

function insist(call: () => unknown, deadline: number): unknown {
  const answer = call()
  if (!(answer instanceof Promise)) return answer
  return answer.catch(async (error: unknown) => {
    if (!(error instanceof BelayError) || !error.retryable || Date.now() > deadline) throw error
    await new Promise((resolve) => setTimeout(resolve, againMs))
    return insist(call, deadline)
  })
}
