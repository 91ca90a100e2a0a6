/** Requests to one registry, with who we are: credentials go to it and to its own token server, and nowhere else. */
import { z } from 'zod'
import { BelayError } from '../domain/errors.ts'
import { exchange, readAll, type Answer, type ExchangeInput } from './exchange.ts'
import { Fault } from './fault.ts'
import type { Limits } from './insist.ts'
import type { RegistryAccess } from './registry.ts'

export interface RegistrySession {
  /** A path of the registry, or a `Location` that it gave. Throws a `Fault` for 429 and 5xx, `refused` for 401 and 403. */
  ask(input: AskInput): Promise<Answer>
  urlOf(path: string): URL
}

export type AskInput = Omit<ExchangeInput, 'silenceMs' | 'mostMs' | 'signal' | 'url' | 'body'> & {
  url: URL
  /** Opened for each attempt: the first may be turned away for want of a token. */
  body?: () => NonNullable<ExchangeInput['body']>
}

const loopback = ['localhost', '127.0.0.1', '[::1]']
const longestTokenAnswer = 256 * 1024
const Token = z.object({ token: z.string().optional(), access_token: z.string().optional() })

export function createRegistrySession(access: RegistryAccess, input: { limits: Limits; signal: AbortSignal }): RegistrySession {
  const base = checkUrl(access)
  const { silenceMs, mostMs } = input.limits
  const { signal } = input
  let authorization: string | undefined

  const once = ({ body, headers, ...rest }: AskInput): Promise<Answer> =>
    exchange({
      ...rest,
      ...{ silenceMs, mostMs, signal },
      ...(body === undefined ? {} : { body: body() }),
      // What the registry sends us to elsewhere is none of whom it knows us as.
      headers: { ...headers, ...(authorization !== undefined && rest.url.origin === base.origin ? { authorization } : {}) },
    })

  async function authorize(challenge: string): Promise<string> {
    if (/^basic\b/i.test(challenge)) return basicOf(access)
    const parameters = parametersOf(challenge)
    const realm = URL.canParse(parameters['realm'] ?? '') ? new URL(parameters['realm'] ?? '') : undefined
    if (!/^bearer\b/i.test(challenge) || realm === undefined)
      throw refused(access, 'it asks for a kind of login that Belay does not know')
    if (realm.protocol !== 'https:' && !loopback.includes(realm.hostname))
      throw refused(access, 'its token server is not reached by https')
    for (const name of ['service', 'scope']) {
      const value = parameters[name]
      if (value !== undefined) realm.searchParams.set(name, value)
    }
    const headers = access.password === undefined ? {} : { authorization: basicOf(access) }
    const answer = await exchange({ method: 'GET', url: realm, headers, silenceMs, mostMs, signal })
    const text = (await readAll(answer.body, longestTokenAnswer)).toString('utf8')
    if (answer.status === 429 || answer.status >= 500) throw busy(answer, 'its token server')
    const parsed = answer.status === 200 ? Token.safeParse(parseJson(text)).data : undefined
    const token = parsed?.token ?? parsed?.access_token
    if (token === undefined) throw refused(access, `its token server answered ${String(answer.status)}`)
    return `Bearer ${token}`
  }

  return {
    urlOf: (path) => new URL(path, base),
    async ask(asked) {
      if (asked.url.protocol !== 'https:' && asked.url.protocol !== base.protocol)
        throw refused(access, 'it sends us from https to a place without it')
      let answer = await once(asked)
      if (answer.status === 401 && asked.url.origin === base.origin) {
        answer.body.destroy()
        authorization = await authorize(answer.headers['www-authenticate'] ?? '')
        answer = await once(asked)
      }
      if (answer.status === 401 || answer.status === 403) {
        answer.body.destroy()
        throw refused(access, `it answered ${String(answer.status)}`)
      }
      if (answer.status === 429 || answer.status >= 500) {
        answer.body.destroy()
        throw busy(answer, 'it')
      }
      return answer
    },
  }
}

function checkUrl({ name, url }: RegistryAccess): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (
    parsed !== undefined &&
    (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && loopback.includes(parsed.hostname)))
  )
    return parsed
  throw new BelayError({
    code: 'refused',
    message: `the registry "${name}" is not reached by https`,
    hint: `Write an https URL in \`registries.${name}\`; http is for registries of this machine only.`,
  })
}

function basicOf(access: RegistryAccess): string {
  if (access.password === undefined) throw refused(access, 'it wants to know who we are')
  return `Basic ${Buffer.from(`${access.username ?? ''}:${access.password}`).toString('base64')}`
}

function refused({ name }: RegistryAccess, why: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `the registry "${name}" does not let us in: ${why}`,
    hint: `Look at username and password of \`registries.${name}\` in belay.config.yml, and at what that user may do there.`,
  })
}

/** `Retry-After` is seconds or a date (RFC 9110, section 10.2.3). */
function busy({ status, headers }: Answer, who: string): Fault {
  const written = headers['retry-after'] ?? ''
  const afterMs = /^\d+$/.test(written) ? Number(written) * 1_000 : Date.parse(written) - Date.now()
  const wanted = Number.isFinite(afterMs) && afterMs > 0 ? afterMs : undefined
  return new Fault(`${who} answered ${String(status)}`, { afterMs: wanted })
}

/** `Bearer realm="…",service="…"` (RFC 9110, section 11.2). */
function parametersOf(challenge: string): Record<string, string> {
  return Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key.toLowerCase(), value]),
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // No token in it, which is all that is asked.
    return undefined
  }
}
