/** The service itself, apart from the process it runs in, so that tests can have one of their own. */
import { once } from 'node:events'
import { createServer } from 'node:http'

/**
 * `version` is what `/` and `/stats` tell. After `unhealthyAfterRequests` requests `/healthz` answers 503, and
 * everything else goes on as before; absent: it stays healthy. Probes and `/stats` are not counted.
 */
export function createService({ version, unhealthyAfterRequests = Infinity }) {
  let requests = 0
  let stopping = false

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      // The client went away in mid-request: there is nobody left to tell.
      response.destroy(error)
    })
  })

  async function answer(request, response) {
    const { pathname } = new URL(request.url ?? '/', 'http://service')
    const body = bodyOf(pathname)
    request.resume()
    if (!request.complete) await once(request, 'end')
    if (stopping) response.setHeader('connection', 'close')
    response.once('finish', () => {
      if (stopping) setImmediate(() => server.closeIdleConnections())
    })
    response.writeHead(body.status, { 'content-type': body.type }).end(body.text)
  }

  function bodyOf(pathname) {
    if (pathname === '/healthz') {
      const healthy = requests < unhealthyAfterRequests
      return text(healthy ? 200 : 503, healthy ? 'ok\n' : `unhealthy after ${requests} requests\n`)
    }
    if (pathname === '/stats') {
      return { status: 200, type: 'application/json', text: `${JSON.stringify({ version, requests })}\n` }
    }
    requests += 1
    return pathname === '/' ? text(200, `hello from version ${version}\n`) : text(404, 'not found\n')
  }

  return {
    server,
    get requests() {
      return requests
    },
    /** Accepts nothing new, finishes what is in flight, then resolves. */
    async stop() {
      stopping = true
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

function text(status, line) {
  return { status, type: 'text/plain; charset=utf-8', text: line }
}
