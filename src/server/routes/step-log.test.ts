import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, startPlannedRun, type FrontDoor } from '../../../test/helpers/front-door.ts'
import type { LogKey } from '../../store/store.ts'

let door: FrontDoor
let runId: string
let token: string

beforeEach(async () => {
  door = await openFrontDoor()
  runId = (await startPlannedRun(door.store)).id
  token = await door.token('viewer')
})

afterEach(() => door.close())

describe('a log as text', () => {
  test('is what all attempts printed, in order, and is only ever text', async () => {
    await append('second', { attempt: 2 })
    await append('<b>first</b>\n')
    const response = await get('')
    expect(response.body).toBe('<b>first</b>\nsecond')
    expect(response.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-length': '19',
    })
  })

  test('of one attempt is asked for by its numbers, and of a part by offset and limit', async () => {
    await append('first', { attempt: 1 })
    await append('second', { attempt: 2 })
    expect((await get('?attempt=2')).body).toBe('second')
    expect((await get('?attempt=2&epoch=1&offset=1&limit=3')).body).toBe('eco')
    expect((await get('?attempt=2&offset=99')).body).toBe('')
  })

  test('an offset without exactly one log is 400 with a hint', async () => {
    await append('first', { attempt: 1 })
    await append('second', { attempt: 2 })
    const response = await get('?offset=1')
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ hint: expect.stringContaining('attempt') })
  })

  test('a range of one log is 206, one past its end 416 with its size', async () => {
    await append('0123456789')
    const part = await get('?attempt=1', { range: 'bytes=2-4' })
    expect([part.statusCode, part.body, part.headers['content-range']]).toEqual([206, '234', 'bytes 2-4/10'])
    const past = await get('', { range: 'bytes=10-' })
    expect([past.statusCode, past.headers['content-range']]).toEqual([416, 'bytes */10'])
    expect(past.json()).toMatchObject({ code: 'range_not_satisfiable' })
  })

  test('a log larger than a piece is streamed whole', async () => {
    const text = 'line after line\n'.repeat(20_000)
    await append(text)
    expect((await get('')).body).toBe(text)
    expect((await get('', { range: 'bytes=65530-65545' })).body).toBe(text.slice(65_530, 65_546))
  })

  test('of a step that printed nothing is empty, of one that is not there 404', async () => {
    expect(await get('')).toMatchObject({ statusCode: 200, body: '' })
    const response = await door.app.inject({ method: 'GET', url: `/api/v1/runs/${runId}/steps/nothing/log`, headers: headers() })
    expect(response.statusCode).toBe(404)
    expect(response.json()).toMatchObject({ hint: 'Its steps: build, tell.' })
  })

  test('of a finally step is asked for like any other', async () => {
    await append('told', { step: 'tell', part: 'finally' })
    const response = await door.app.inject({
      method: 'GET',
      url: `/api/v1/runs/1/steps/tell/log?project=shop`,
      headers: headers(),
    })
    expect(response.body).toBe('told')
  })
})

async function append(text: string, key: Partial<LogKey> = {}): Promise<void> {
  const bytes = Buffer.from(text)
  await door.store.logs.append(
    { runId, step: 'build', attempt: 1, epoch: 1, part: 'step', ...key },
    { offset: 0, bytes, final: true },
  )
}

function get(query: string, extra: Record<string, string> = {}) {
  const url = `/api/v1/runs/${runId}/steps/build/log${query}`
  return door.app.inject({ method: 'GET', url, headers: { ...headers(), ...extra } })
}

function headers(): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}
