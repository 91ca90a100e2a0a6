/** What holds for each forge that takes commit statuses, over HTTP. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startForgeDouble, type ForgeDouble } from '../../../test/helpers/forge-double.ts'
import { until } from '../../../test/helpers/until.ts'
import { commitStates, type CommitStatus, type Forge } from './forge.ts'
import { forges } from './index.ts'

const token = 'canary-of-a-status-token'
const all: readonly Forge[] = forges
const telling = all.flatMap(({ name, statuses }) => (statuses === undefined ? [] : [{ name, statuses }]))

let double: ForgeDouble

beforeEach(async () => {
  double = await startForgeDouble()
})
afterEach(() => double.stop())

test('GitHub, Gitea and Forgejo are told; who signs by Standard Webhooks alone is not', () => {
  expect(telling.map(({ name }) => name)).toEqual(['github', 'gitea', 'forgejo'])
})

describe.each(telling)('$name', ({ statuses }) => {
  const send = (changes: Partial<CommitStatus> = {}, signal = new AbortController().signal) =>
    statuses.send(
      {
        repository: 'https://git.example/acme/shop.git',
        apiUrl: double.url,
        token,
        sha: 'a'.repeat(40),
        state: 'success',
        context: 'belay/release',
        description: 'good',
        targetUrl: 'https://belay.example/',
        ...changes,
      },
      signal,
    )

  test('each state is taken by the name that the forge knows', async () => {
    for (const state of commitStates) expect(await send({ state })).toEqual({ type: 'taken' })
    expect(double.taken.map(({ state }) => state)).toEqual(['pending', 'success', 'failure', 'error'])
  })

  test.each([401, 403, 404, 408, 409, 423, 429, 500, 502, 503])(
    'after %i it is asked again: that may be right later',
    async (code) => {
      double.faults = [{ status: code }]
      expect(await send()).toEqual({ type: 'later', why: `it answered ${String(code)}` })
    },
  )

  test('a status that it understood and does not take is not sent again', async () => {
    double.faults = [{ status: 422 }]
    expect(await send()).toEqual({ type: 'refused', why: expect.stringContaining('422') })
  })

  test.each<[string, Record<string, string>, number]>([
    ['in seconds', { 'retry-after': '7' }, 7_000],
    ['of more than an hour', { 'retry-after': '86400' }, 3_600_000],
    ['until a time that is far off', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '99999999999' }, 3_600_000],
  ])('a rate limit %s is told, at most one hour', async (_, headers, afterMs) => {
    double.faults = [{ status: 429, headers }]
    expect(await send()).toEqual({ type: 'later', why: 'it answered 429', afterMs })
  })

  test('a token follows no redirect', async () => {
    const other = await startForgeDouble()
    try {
      double.faults = [{ status: 307, headers: { location: `${other.url}/repos/acme/shop/statuses/x` } }]
      expect(await send()).toEqual({ type: 'later', why: 'it answered 307' })
      expect(other.asked).toBe(0)
    } finally {
      await other.stop()
    }
  })

  test('a forge that breaks off is asked again, and the reason does not hold the token', async () => {
    double.faults = ['reset']
    const answer = await send()
    expect(answer).toMatchObject({ type: 'later', why: expect.stringMatching(/^it does not answer/) })
    expect(JSON.stringify(answer)).not.toContain(token)
  })

  test('whoever stops waits for no silent forge', async () => {
    double.faults = ['hang']
    const stop = new AbortController()
    const answer = send({}, stop.signal)
    await until('it is asked', () => double.asked === 1)
    stop.abort()
    expect(await answer).toMatchObject({ type: 'later' })
  })

  test('a place that https does not reach never sees the token', async () => {
    expect(await send({ apiUrl: 'http://git.example' })).toMatchObject({ type: 'refused' })
    expect(await send({ repository: 'file:///srv/acme/shop' })).toMatchObject({ type: 'refused' })
    expect(double.asked).toBe(0)
  })

  test('a long description is cut between characters', async () => {
    await send({ description: '😀'.repeat(300) })
    expect(double.taken[0]?.description).toMatch(/^(?:😀)+…$/u)
  })
})
