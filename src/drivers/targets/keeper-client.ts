/** The keeper, asked over its Unix socket. What comes back is checked; what it refuses is thrown with its own code. */
import { request } from 'node:http'
import { z } from 'zod'
import type { Operation } from '../../contract/activities.ts'
import { BelayError, errorCodes, type ErrorCode } from '../../domain/errors.ts'
import { faultPoint } from '../../process/fault-point.ts'

export const KeeperInstance = z.object({
  id: z.string(),
  digest: z.string(),
  directory: z.string(),
  url: z.string(),
  running: z.boolean(),
  exit: z.string().optional(),
  tail: z.string().optional(),
})
export type KeeperInstance = z.infer<typeof KeeperInstance>

export const KeeperEnvironment = z.object({
  fence: z.number().int(),
  active: z.string().optional(),
  instances: z.array(KeeperInstance),
  upstreams: z.array(z.object({ id: z.string(), digest: z.string(), host: z.string(), port: z.number() })),
  traffic: z.record(z.string(), z.object({ requests: z.number(), errors: z.number() })),
})
export type KeeperEnvironment = z.infer<typeof KeeperEnvironment>

export const CommandEnd = z.object({ failure: z.string().optional(), tail: z.string() })
export type CommandEnd = z.infer<typeof CommandEnd>

export const Activated = z.object({ previousDigest: z.string().optional() })

const isCode = (text: string): text is ErrorCode => Object.hasOwn(errorCodes, text)
const Refusal = z.object({
  error: z.object({
    code: z.string().refine(isCode),
    message: z.string(),
    hint: z.string().optional(),
    retryable: z.boolean().optional(),
  }),
})

/** Above the keeper's longest operation but for commands: a drain of 30 s and a grace of 10 s. */
const usualTimeoutMs = 60_000
const answerLimit = 4 * 1024 * 1024

type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

export interface KeeperClient {
  /** Throws what the keeper refused with; `unavailable`, retryable, if it cannot be reached or does not answer. */
  call<T>(schema: z.ZodType<T>, method: Method, path: string, body?: unknown, timeoutMs?: number): Promise<T>
}

export function createKeeperClient(socketPath: string): KeeperClient {
  return {
    async call(schema, method, path, body, timeoutMs = usualTimeoutMs) {
      const { status, text } = await exchange({ socketPath, method, path, timeoutMs }, body)
      const parsed = parseJson(text)
      if (status === 200) return z.object({ answer: schema }).parse(parsed).answer
      const { code, ...error } = Refusal.parse(parsed).error
      throw new BelayError({
        code,
        message: error.message,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        ...(error.retryable === undefined ? {} : { retryable: error.retryable }),
      })
    },
  }
}

/** Where an environment takes requests, and by which edge. */
export interface EdgePlace {
  driver: 'embedded' | 'haproxy'
  host: string
  port: number
}

export interface EnvironmentsClient {
  view(environment: string): Promise<KeeperEnvironment>
  /** Has it listen where the configuration says. Throws `not_found` for an environment that is not there. */
  openEdge(environment: string): Promise<void>
  /** `takesMs`: how long it may take beside the usual. */
  carryOut<T>(schema: z.ZodType<T>, name: string, operation: Operation, rest?: object, takesMs?: number): Promise<T>
  /** What changes nothing and needs no number. */
  ask(environment: string, name: string, body: object): Promise<void>
}

export function createEnvironmentsClient(options: {
  socket: string
  edges: Readonly<Record<string, EdgePlace>>
}): EnvironmentsClient {
  const keeper = createKeeperClient(options.socket)
  const pathOf = (environment: string, rest = ''): string => `/environments/${encodeURIComponent(environment)}${rest}`
  return {
    view: (environment) => keeper.call(KeeperEnvironment, 'GET', pathOf(environment)),
    async openEdge(environment) {
      const edge = options.edges[environment]
      if (edge === undefined) throw new BelayError({ code: 'not_found', message: `no environment ${environment} here` })
      const { driver, host, port } = edge
      await keeper.call(z.unknown(), 'PUT', pathOf(environment, '/edge'), { driver, host, port })
    },
    async carryOut(schema, name, { environment, fence, operationId }, rest = {}, takesMs = 0) {
      const body = { fence, operationId, ...rest }
      const answer = await keeper.call(schema, 'POST', pathOf(environment, `/${name}`), body, usualTimeoutMs + takesMs)
      faultPoint(`keeper.${name}.answered`)
      return answer
    },
    async ask(environment, name, body) {
      await keeper.call(z.unknown(), 'POST', pathOf(environment, `/${name}`), body)
    },
  }
}

function exchange(
  where: { socketPath: string; method: Method; path: string; timeoutMs: number },
  body: unknown,
): Promise<{ status: number | undefined; text: string }> {
  const { socketPath, method, path, timeoutMs } = where
  return new Promise((resolve, reject) => {
    const unreachable = (cause: Error): void => {
      reject(
        new BelayError({
          code: 'unavailable',
          message: `the keeper cannot be reached: ${cause.message}`,
          hint: 'It is started again by `belay up`; if it stays away, see its output.',
          retryable: true,
          cause,
        }),
      )
    }
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const asking = request({ socketPath, method, path, headers, agent: false, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > answerLimit) response.destroy(new Error('its answer is too long'))
        else chunks.push(chunk)
      })
      response.once('error', unreachable)
      response.once('end', () => {
        resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString('utf8') })
      })
    })
    asking.once('timeout', () => asking.destroy(new Error('no answer in time')))
    asking.once('error', unreachable)
    asking.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new BelayError({ code: 'unavailable', message: "the keeper's answer was cut", retryable: true, cause: error })
  }
}
