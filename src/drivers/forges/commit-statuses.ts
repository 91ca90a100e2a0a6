/** Commit statuses as GitHub made them and Gitea took them over; what differs is a `StatusApi`. */
import { limitedSignal } from '../../process/limited-signal.ts'
import type { CommitStatus, CommitStatuses, StatusAnswer } from './forge.ts'

export interface StatusApi {
  /**
   * Base URL of the API of a repository's host. `prefix` is the path before owner and name, empty or with a slash before.
   * Undefined: no repository lies there.
   */
  baseUrl(place: { host: string; prefix: string }): string | undefined
  headers(token: string): Record<string, string>
  /** In characters. */
  longestDescription: number
}

const silenceMs = 20_000
const longestWaitMs = 3_600_000

export function createCommitStatuses(api: StatusApi): CommitStatuses {
  return {
    async send(status, signal) {
      const url = statusUrl(api, status)
      if (url === undefined) return { type: 'refused', why: 'the repository has no owner and name, or is not reached by https' }
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'user-agent': 'belay', ...api.headers(status.token) },
          body: JSON.stringify(bodyOf(status, api.longestDescription)),
          // Another place has no business with our token.
          redirect: 'manual',
          signal: limitedSignal(silenceMs, signal),
        })
        await response.body?.cancel()
        return judge(response)
      } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
        return { type: 'later', why: `it does not answer${cause}` }
      }
    },
  }
}

/** By the repository's host unless the operator named another place; https, but for this machine. */
export function statusUrl(api: StatusApi, { repository, apiUrl, sha }: CommitStatus): URL | undefined {
  const parsed = URL.canParse(repository) ? new URL(repository) : undefined
  const [, prefix, owner, name] = /^(.*)\/([^/]+)\/([^/]+?)(?:\.git)?\/?$/.exec(parsed?.pathname ?? '') ?? []
  if (parsed === undefined || parsed.host === '' || prefix === undefined || owner === undefined || name === undefined)
    return undefined
  // The port of ssh is not the API's.
  const own = api.baseUrl({ host: parsed.protocol === 'ssh:' ? parsed.hostname : parsed.host, prefix })
  if (own === undefined) return undefined
  const url = new URL(`${(apiUrl ?? own).replace(/\/+$/, '')}/repos/${owner}/${name}/statuses/${sha}`)
  // A forge of this machine that serves its repositories without TLS serves its API so, too.
  if (apiUrl === undefined && parsed.protocol === 'http:' && isLoopback(parsed)) url.protocol = 'http:'
  return url.protocol === 'https:' || isLoopback(url) ? url : undefined
}

function isLoopback({ hostname }: URL): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

function bodyOf({ state, context, description, targetUrl }: CommitStatus, longest: number): Record<string, string> {
  const characters = [...description]
  const short = characters.length <= longest ? description : `${characters.slice(0, longest - 1).join('')}…`
  return { state, context, description: short, target_url: targetUrl }
}

/** A token may be wrong now and right later, so only what is wrong about the status itself is final. */
function judge(response: Response): StatusAnswer {
  const { status } = response
  if (status === 201 || status === 200) return { type: 'taken' }
  if (status === 422)
    return { type: 'refused', why: 'it answered 422: it does not have this commit, or takes no more statuses for it' }
  const afterMs = waitOf(response.headers)
  return { type: 'later', why: `it answered ${String(status)}`, ...(afterMs === undefined ? {} : { afterMs }) }
}

function waitOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  const spent = headers.get('x-ratelimit-remaining') === '0'
  const resetMs = Number(headers.get('x-ratelimit-reset') ?? Number.NaN) * 1_000 - Date.now()
  const wanted = Number.isFinite(seconds) ? seconds * 1_000 : spent && Number.isFinite(resetMs) ? resetMs : 0
  return wanted > 0 ? Math.min(wanted, longestWaitMs) : undefined
}
