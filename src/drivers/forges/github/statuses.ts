/** Format: docs.github.com, "REST API endpoints for commit statuses" and "Rate limits for the REST API". */
import { createCommitStatuses, type StatusApi } from '../commit-statuses.ts'

export const githubApi: StatusApi = {
  /** Of Enterprise Server the API lies at the repositories' own host. */
  baseUrl({ host, prefix }) {
    if (prefix !== '') return undefined
    return host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`
  },
  headers: (token) => ({
    accept: 'application/vnd.github+json',
    authorization: `Bearer ${token}`,
    'x-github-api-version': '2022-11-28',
  }),
  longestDescription: 140,
}

export const githubStatuses = createCommitStatuses(githubApi)
