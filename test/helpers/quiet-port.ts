import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below those that systems hand out for outgoing connections (on Linux from 32768), of which any test might get one meanwhile. */
const [first, last] = [10_000, 29_999]
let next = randomInt(first, last)

/** A TCP port on 127.0.0.1 for a server that is started a while later: another one each time. */
export async function findQuietPort(): Promise<number> {
  for (;;) {
    const port = next
    next = port === last ? first : port + 1
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
