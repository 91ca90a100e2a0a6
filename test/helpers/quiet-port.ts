import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * A TCP port on 127.0.0.1 for a server that is started a while later. Below those that systems hand out for outgoing connections (from
 * 32768 on Linux), of which any other test might have been given it meanwhile.
 */
export async function findQuietPort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000)
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
