import { expect, test } from 'vitest'
import { startForgeDouble } from '../../../../test/helpers/forge-double.ts'
import { statusUrl } from '../commit-statuses.ts'
import type { CommitStatus } from '../forge.ts'
import { giteaApi, giteaStatuses } from './statuses.ts'

const status: CommitStatus = {
  repository: 'https://git.example/acme/shop.git',
  token: 'canary',
  sha: 'a'.repeat(40),
  state: 'pending',
  context: 'belay/release',
  description: 'good',
  targetUrl: 'https://belay.example/',
}

test.each([
  ['http://127.0.0.1:3000/acme/shop', undefined, `http://127.0.0.1:3000/api/v1/repos/acme/shop/statuses/${status.sha}`],
  ['http://git.example/acme/shop', undefined, `https://git.example/api/v1/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example/acme/shop.git', undefined, `https://git.example/api/v1/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example:3000/acme/shop', undefined, `https://git.example:3000/api/v1/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example/git/acme/shop', undefined, `https://git.example/git/api/v1/repos/acme/shop/statuses/${status.sha}`],
  ['ssh://git@git.example:2222/acme/shop', undefined, `https://git.example/api/v1/repos/acme/shop/statuses/${status.sha}`],
  [
    'https://git.example/acme/shop',
    'https://in.example/api/v1/',
    `https://in.example/api/v1/repos/acme/shop/statuses/${status.sha}`,
  ],
  ['file:///srv/acme/shop', 'https://in.example/api/v1', undefined],
  ['https://git.example/acme/shop', 'http://in.example/api/v1', undefined],
  [
    'https://git.example/acme/shop',
    'http://127.0.0.1:3000/api/v1',
    `http://127.0.0.1:3000/api/v1/repos/acme/shop/statuses/${status.sha}`,
  ],
  ['https://git.example/shop', undefined, undefined],
])('the statuses of %s (API %s) lie at %s', (repository, apiUrl, url) => {
  expect(statusUrl(giteaApi, { ...status, repository, apiUrl })?.href).toBe(url)
})

test('a status is sent with the token as Gitea wants it, and a description of at most 255 characters', async () => {
  const forge = await startForgeDouble()
  try {
    const sent = { ...status, apiUrl: `${forge.url}/api/v1`, description: 'x'.repeat(300) }
    expect(await giteaStatuses.send(sent, new AbortController().signal)).toEqual({ type: 'taken' })
    expect(forge.taken).toEqual([
      {
        path: `/api/v1/repos/acme/shop/statuses/${status.sha}`,
        authorization: 'token canary',
        state: 'pending',
        context: 'belay/release',
        description: `${'x'.repeat(254)}…`,
        target_url: 'https://belay.example/',
      },
    ])
  } finally {
    await forge.stop()
  }
})
