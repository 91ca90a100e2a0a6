/** Format: docs.gitea.com and forgejo.org, "API", `repoCreateStatus`. */
import { createCommitStatuses, type StatusApi } from '../commit-statuses.ts'

export const giteaApi: StatusApi = {
  /** It may lie below a path of its host, its API then too. */
  baseUrl: ({ host, prefix }) => `https://${host}${prefix}/api/v1`,
  headers: (token) => ({ accept: 'application/json', authorization: `token ${token}` }),
  /** It takes more; its lists of checks show no more. */
  longestDescription: 255,
}

export const giteaStatuses = createCommitStatuses(giteaApi)
