/** What a supervisor asks the keeper: is it there, and would it please stop? */
import { request } from 'node:http'

/** True if a keeper answers at that socket within `timeoutMs`. */
export async function isKeeperUp(socket: string, timeoutMs = 1_000): Promise<boolean> {
  return (await call(socket, { method: 'GET', path: '/healthz', timeoutMs })) === 200
}

/** Drains and stops the applications and the keeper; resolves when they have stopped. False if nobody answered. */
export async function stopKeeper(socket: string, timeoutMs = 14_000): Promise<boolean> {
  return (await call(socket, { method: 'POST', path: '/stop', timeoutMs })) === 200
}

/** The status; undefined if there was no answer. */
function call(socketPath: string, { method, path, timeoutMs }: { method: string; path: string; timeoutMs: number }) {
  return new Promise<number | undefined>((resolve) => {
    const asking = request({ socketPath, method, path, agent: false, timeout: timeoutMs }, (response) => {
      response.resume()
      response.once('close', () => {
        resolve(response.statusCode)
      })
    })
    asking.once('timeout', () => asking.destroy())
    // Nobody there: that is an answer.
    asking.once('error', () => {
      resolve(undefined)
    })
    asking.end()
  })
}
