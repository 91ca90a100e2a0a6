import { expect, test } from 'vitest'
import { startForgeDouble } from '../../../../test/helpers/forge-double.ts'
import { statusUrl } from '../commit-statuses.ts'
import type { CommitStatus } from '../forge.ts'
import { githubApi, githubStatuses } from './statuses.ts'

const status: CommitStatus = {
  repository: 'https://github.com/acme/shop.git',
  token: 'canary',
  sha: 'a'.repeat(40),
  state: 'success',
  context: 'belay/release',
  description: 'good',
  targetUrl: 'https://belay.example/',
}

test.each([
  ['https://github.com/acme/shop.git', undefined, `https://api.github.com/repos/acme/shop/statuses/${status.sha}`],
  ['ssh://git@github.com/acme/shop', undefined, `https://api.github.com/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example:8443/acme/shop', undefined, `https://git.example:8443/api/v3/repos/acme/shop/statuses/${status.sha}`],
  ['ssh://git@git.example:2222/acme/shop', undefined, `https://git.example/api/v3/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example/acme/shop', 'https://api.example/x', `https://api.example/x/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example/acme/shop', 'http://api.example', undefined],
  ['file:///srv/shop', undefined, undefined],
  ['https://github.com/acme/shop/more', undefined, undefined],
  ['https://github.com/acme/shop/more', 'https://api.example/x', undefined],
])('the statuses of %s (API %s) lie at %s', (repository, apiUrl, url) => {
  expect(statusUrl(githubApi, { ...status, repository, apiUrl })?.href).toBe(url)
})

test('a status is sent with the token as a bearer, and a description of at most 140 characters', async () => {
  const forge = await startForgeDouble()
  try {
    const sent = { ...status, apiUrl: forge.url, description: 'x'.repeat(200) }
    expect(await githubStatuses.send(sent, new AbortController().signal)).toEqual({ type: 'taken' })
    expect(forge.taken).toEqual([
      {
        path: `/repos/acme/shop/statuses/${status.sha}`,
        authorization: 'Bearer canary',
        state: 'success',
        context: 'belay/release',
        description: `${'x'.repeat(139)}…`,
        target_url: 'https://belay.example/',
      },
    ])
  } finally {
    await forge.stop()
  }
})
