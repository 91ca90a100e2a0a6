/** Commit statuses. Format: docs.github.com, "REST API endpoints for commit statuses" and "Rate limits for the REST API". */
import type { CommitStatus, CommitStatuses, StatusAnswer } from '../forge.ts'

const silenceMs = 20_000
const longestDescription = 140
const longestWaitMs = 3_600_000

export const githubStatuses: CommitStatuses = {
  async send(status, signal) {
    const url = statusUrl(status)
    if (url === undefined) return { type: 'refused', why: 'the repository has no owner and name, or is not reached by https' }
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          accept: 'application/vnd.github+json',
          authorization: `Bearer ${status.token}`,
          'content-type': 'application/json',
          'user-agent': 'belay',
          'x-github-api-version': '2022-11-28',
        },
        body: JSON.stringify(bodyOf(status)),
        // Another place has no business with our token.
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]),
      })
      await response.body?.cancel()
      return judge(response)
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
      return { type: 'later', why: `it does not answer${cause}` }
    }
  },
}

/** By the repository's host; of Enterprise Server the API lies at the same one. */
export function statusUrl({ repository, apiUrl, sha }: CommitStatus): URL | undefined {
  const parsed = URL.canParse(repository) ? new URL(repository) : undefined
  const [, owner, name] = /^\/([^/]+)\/([^/]+?)(?:\.git)?\/?$/.exec(parsed?.pathname ?? '') ?? []
  if (parsed === undefined || parsed.host === '' || owner === undefined || name === undefined) return undefined
  const base = apiUrl ?? (parsed.hostname === 'github.com' ? 'https://api.github.com' : `https://${parsed.host}/api/v3`)
  const url = new URL(`${base}/repos/${owner}/${name}/statuses/${sha}`)
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  return url.protocol === 'https:' || isLoopback ? url : undefined
}

function bodyOf({ state, context, description, targetUrl }: CommitStatus): Record<string, string> {
  const characters = [...description]
  const short = characters.length <= longestDescription ? description : `${characters.slice(0, longestDescription - 1).join('')}…`
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
