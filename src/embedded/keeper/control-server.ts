/** The keeper's ear: HTTP and JSON over a Unix socket that only its owner can open. */
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { z } from 'zod'
import { BelayError, errorCodes } from '../../domain/errors.ts'
import type { EnvironmentKeeper } from './environment-keeper.ts'
import {
  ActivateRequest,
  CommandRequest,
  DrainedRequest,
  EdgeRequest,
  EnvironmentName,
  Operation,
  RouteRequest,
  StageRequest,
} from './keeper-api.ts'
import { ensureSocketDirectory } from '../../process/socket-directory.ts'

export interface ControlServerOptions {
  socket: string
  environment(name: string): EnvironmentKeeper
  /** Of the environments that have an edge or instances. */
  names(): string[]
  /** Answers once everything has stopped. */
  stop(): Promise<void>
  log(line: string): void
}

export interface ControlServer {
  /** Answers what is under way, then closes. */
  close(): Promise<void>
}

const bodyLimit = 1024 * 1024

export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  ensureSocketDirectory(options.socket)
  // The lock says that no other keeper lives, so this is what a killed one left.
  rmSync(options.socket, { force: true })
  const server = createServer((request, response) => {
    void respond(request, response, options)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.socket, resolve)
  })
  return {
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeIdleConnections()
      await closed
    },
  }
}

async function respond(request: IncomingMessage, response: ServerResponse, options: ControlServerOptions): Promise<void> {
  try {
    send(response, 200, { answer: (await dispatch(request, options)) ?? {} })
  } catch (error) {
    const known = error instanceof BelayError ? error : toBelayError(error)
    if (known.code === 'internal') options.log(`${String(request.method)} ${String(request.url)}: ${known.message}`)
    const { code, message, hint, retryable } = known
    send(response, errorCodes[code].http, { error: { code, message, hint, retryable } })
  }
}

async function dispatch(request: IncomingMessage, options: ControlServerOptions): Promise<unknown> {
  const [root, name, action] = (request.url ?? '').split('/').slice(1).map(decodeURIComponent)
  if (root === 'healthz' && request.method === 'GET') return { healthy: true, pid: process.pid }
  if (root === 'stop' && request.method === 'POST') return options.stop()
  if (root === 'environments' && name === undefined && request.method === 'GET') return { names: options.names() }
  if (root !== 'environments' || name === undefined) throw unknownOperation(request)
  const environment = options.environment(EnvironmentName.parse(name))
  switch (`${String(request.method)} ${action ?? ''}`) {
    case 'GET ':
      return environment.view()
    case 'DELETE ':
      return environment.remove()
    case 'PUT edge':
      return environment.setEdge(EdgeRequest.parse(await readJson(request)))
    case 'POST stage':
      return environment.stage(StageRequest.parse(await readJson(request)))
    case 'POST command':
      return environment.command(CommandRequest.parse(await readJson(request)))
    case 'POST activate':
      return environment.activate(ActivateRequest.parse(await readJson(request)))
    case 'POST retire':
      return environment.retire(Operation.parse(await readJson(request)))
    case 'POST clear':
      return environment.clear(Operation.parse(await readJson(request)))
    case 'POST route':
      return environment.route(RouteRequest.parse(await readJson(request)))
    case 'POST announce':
      return environment.announce(Operation.parse(await readJson(request)))
    case 'POST drained':
      return environment.drained(DrainedRequest.parse(await readJson(request)))
    default:
      throw unknownOperation(request)
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > bodyLimit) throw new BelayError({ code: 'too_large', message: 'over 1 MiB' })
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw new BelayError({ code: 'invalid_input', message: 'not JSON', cause: error })
  }
}

/** Names the fields that are wrong and never their values: an environment holds secrets. */
function toBelayError(error: unknown): BelayError {
  if (!(error instanceof z.ZodError)) {
    return new BelayError({ code: 'internal', message: error instanceof Error ? error.message : String(error), cause: error })
  }
  const fields = error.issues.map((issue) => `${issue.path.join('.')}: ${issue.code}`).join('; ')
  return new BelayError({ code: 'invalid_input', message: `not understood: ${fields}`, cause: error })
}

function unknownOperation(request: IncomingMessage): BelayError {
  return new BelayError({ code: 'not_found', message: `no operation ${String(request.method)} ${String(request.url)}` })
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(body))
}
