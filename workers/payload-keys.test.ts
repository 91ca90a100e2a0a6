import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFrontDoor, type FrontDoor } from '../test/helpers/front-door.ts'
import { until } from '../test/helpers/until.ts'
import { knownKeysOf } from '../src/payloads/payload-keys.ts'
import { createApp } from '../src/server/app.ts'
import { agreeOnce, agreeWithServer } from './payload-keys.ts'

const [one, two] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
let door: FrontDoor
const warnings: string[] = []
const log = { warn: (fields: object) => void warnings.push(JSON.stringify(fields)), error: () => undefined }

beforeEach(async () => {
  door = await openFrontDoor()
  warnings.length = 0
})

afterEach(() => door.close())

async function withServer<T>(
  keys: readonly string[],
  work: (options: { serverUrl: string; token: string }) => Promise<T>,
): Promise<T> {
  const app = createApp({ ...door, config: { ...door.config, ...(keys.length === 0 ? {} : { payloadKeys: keys }) } })
  try {
    return await work({ serverUrl: await app.listen({ host: '127.0.0.1', port: 0 }), token: await door.token('runner') })
  } finally {
    await app.close()
  }
}

describe('a runner', () => {
  it.each([
    ['neither has a key', [], []],
    ['both have the same', [one], [one]],
    ['each knows the one that the other encrypts with', [two, one], [one, two]],
  ])('takes work if %s', async (_, ours, theirs) => {
    await withServer(theirs, (server) => agreeWithServer({ ...server, payloadKeys: ours }, log))
    expect(warnings).toEqual([])
  })

  it.each([
    ['it has none and the server has one', [], [one], knownKeysOf([one]).encrypts],
    ['the server has none', [one], [], 'its server has none'],
    ["it lacks the server's", [one], [two, one], knownKeysOf([two]).encrypts],
    ['the server lacks its', [two, one], [one], knownKeysOf([two]).encrypts],
  ])('waits and says why, once, if %s', async (_, ours, theirs, why = '') => {
    const unwanted = new AbortController()
    let agreed = false
    const waiting = withServer(theirs, async (server) => {
      await agreeWithServer({ ...server, payloadKeys: ours }, log, unwanted.signal)
      agreed = !unwanted.signal.aborted
    })
    await until('it says why', () => warnings.some((line) => line.includes(why)))
    unwanted.abort()
    await waiting
    expect(agreed).toBe(false)
    expect(warnings.filter((line) => line.includes(why))).toHaveLength(1)
    expect(warnings.join('')).not.toContain(one)
  })
})

describe('a server', () => {
  it('says nothing to Temporal without the key that was noted last, and names it', async () => {
    await agreeOnce(door.store, [one])()
    const other = agreeOnce(door.store, [two])
    await expect(other()).rejects.toMatchObject({
      code: 'missing_part',
      retryable: true,
      message: expect.stringContaining(knownKeysOf([one]).encrypts ?? '') as string,
    })
    await expect(agreeOnce(door.store, [two, one])()).resolves.toBeUndefined()
    await expect(other()).resolves.toBeUndefined()
  })
})
