import { createServer } from 'node:net'
import { BelayError } from '../../domain/errors.ts'

/** Below the range that systems take the local ports of outgoing connections from, so that none of those gets in the way. */
const first = 20_000
const count = 10_000

/** A port on 127.0.0.1 for an application: free a moment ago, and none of `taken`. */
export async function findAppPort(taken: readonly number[]): Promise<number> {
  const start = Math.floor(Math.random() * count)
  for (let step = 0; step < count; step++) {
    const port = first + ((start + step) % count)
    if (!taken.includes(port) && (await isFree(port))) return port
  }
  throw new BelayError({ code: 'unavailable', message: 'no free port for an application', retryable: true })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    // Everywhere, as an application may listen on all addresses.
    server.listen({ port, exclusive: true }, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}
