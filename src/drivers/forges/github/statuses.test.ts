import { expect, test } from 'vitest'
import { startForgeDouble } from '../../../../test/helpers/forge-double.ts'
import type { CommitStatus } from '../forge.ts'
import { githubStatuses, statusUrl } from './statuses.ts'

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
  ['https://git.example/acme/shop', 'https://api.example/x', `https://api.example/x/repos/acme/shop/statuses/${status.sha}`],
  ['https://git.example/acme/shop', 'http://api.example', undefined],
  ['file:///srv/shop', undefined, undefined],
  ['https://github.com/acme/shop/more', undefined, undefined],
])('the statuses of %s (API %s) lie at %s', (repository, apiUrl, url) => {
  expect(statusUrl({ ...status, repository, apiUrl })?.href).toBe(url)
})

test('a token follows no redirect', async () => {
  const [forge, other] = [await startForgeDouble(), await startForgeDouble()]
  try {
    forge.faults = [{ status: 307, headers: { location: `${other.url}/repos/acme/shop/statuses/x` } }]
    const answer = await githubStatuses.send({ ...status, apiUrl: forge.url }, new AbortController().signal)
    expect(answer).toEqual({ type: 'later', why: 'it answered 307' })
    expect(other.asked).toBe(0)
  } finally {
    await Promise.all([forge.stop(), other.stop()])
  }
})

test('a long description is cut between characters', async () => {
  const forge = await startForgeDouble()
  try {
    const description = '😀'.repeat(200)
    expect(await githubStatuses.send({ ...status, apiUrl: forge.url, description }, new AbortController().signal)).toEqual({
      type: 'taken',
    })
    expect(forge.taken[0]?.description).toBe(`${'😀'.repeat(139)}…`)
  } finally {
    await forge.stop()
  }
})
