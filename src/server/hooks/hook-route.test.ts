import { createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hookSecret, makeProject, openFrontDoor, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { until } from '../../../test/helpers/until.ts'
import { hookLimitBytes } from './hook-route.ts'

const sha = '6f1ed002ab5595859014ebf0951522d9c1b2a3f4'

let door: FrontDoor

beforeEach(async () => {
  const config = { projects: { shop: makeProject(), mute: makeProject({ name: 'mute', webhookSecrets: [] }) } }
  door = await openFrontDoor({ config })
})

afterEach(() => door.close())

describe('taken', () => {
  test('a signed push is answered 202 with its run, and is on disk with a command to start it, Temporal being away', async () => {
    const { status, body } = await post(push())
    expect(status).toBe(202)
    const { items } = await door.store.runs.list({})
    const [run] = items
    expect(items).toHaveLength(1)
    expect(run).toMatchObject({ number: 1, status: 'queued', trigger: { sha, actor: { id: 'github:7', name: 'ana' } } })
    expect(body).toEqual({
      delivery: expect.any(String),
      run: { id: run?.id, number: 1, url: `http://belay.example/api/v1/runs/${String(run?.id)}` },
    })
    const commands = await door.store.commands.lease({ owner: 'test', leaseMs: 1000, limit: 10 })
    expect(commands).toMatchObject([{ runId: run?.id, kind: 'start' }])
  })

  test("GitHub's form encoding is taken, signed over the form's own bytes", async () => {
    const form = new URLSearchParams({ payload: push() }).toString()
    const { status } = await post(form, { 'content-type': 'application/x-www-form-urlencoded' })
    expect(status).toBe(202)
  })

  test('a content type may carry a charset', async () => {
    expect((await post(push(), { 'content-type': 'Application/JSON; charset=utf-8' })).status).toBe(202)
  })

  test('what starts nothing is answered 200 with the reason', async () => {
    expect(await post('{"zen":"x"}', { 'x-github-event': 'ping' })).toMatchObject({ status: 200, body: { ignored: 'ping' } })
    expect(await post('[1]', { 'x-github-event': 'star' })).toMatchObject({ status: 200 })
    expect((await door.store.runs.list({})).items).toEqual([])
  })

  test('a redelivery is answered 200 with the first answer, and starts nothing more', async () => {
    const first = await post(push(), { 'x-github-delivery': 'one' })
    const again = await post(push(), { 'x-github-delivery': 'one' })
    expect(first.status).toBe(202)
    expect(again).toMatchObject({ status: 200, body: first.body })
    expect((await door.store.runs.list({})).items).toHaveLength(1)
  })

  test('neither the body nor the secret is logged', async () => {
    await post(push({ message: 'CONFIDENTIAL' }))
    expect(door.logged()).toContain('delivery accepted')
    expect(door.logged()).not.toContain('CONFIDENTIAL')
    expect(door.logged()).not.toContain(hookSecret)
  })
})

describe('refused', () => {
  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'PROPFIND'])(
    '%s is 405 with Allow, before anything else',
    async (method) => {
      const response = await fetch(`${await door.listen()}/hooks/shop`, { method })
      expect(response.status).toBe(405)
      expect(response.headers.get('allow')).toBe('POST')
    },
  )

  test('a body over 1 MiB is 413 before its signature is looked at, and one of exactly 1 MiB is read', async () => {
    const bad = { 'x-hub-signature-256': 'sha256=00' }
    expect(await post('x'.repeat(hookLimitBytes + 1), bad)).toMatchObject({ status: 413, body: { code: 'too_large' } })
    expect(await post('x'.repeat(hookLimitBytes), bad)).toMatchObject({ status: 401 })
  })

  test('a body that only says it is too large is 413 without being waited for', async () => {
    const { hostname, port } = new URL(await door.listen())
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    const head = `content-type: text/plain\r\ncontent-length: ${String(hookLimitBytes + 1)}`
    socket.write(`POST /hooks/shop HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n`)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('a chunked body without a length is cut off at 1 MiB, too', async () => {
    const chunks = new Blob([Buffer.alloc(hookLimitBytes + 1)]).stream()
    const response = await fetch(`${await door.listen()}/hooks/shop`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: chunks,
      duplex: 'half',
    })
    expect(response.status).toBe(413)
  })

  test.each(['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/jsonx'])(
    '%s is 415, before the signature',
    async (type) => {
      const answer = await post('{}', { 'content-type': type, 'x-hub-signature-256': 'sha256=00' })
      expect(answer).toMatchObject({ status: 415, body: { code: 'unsupported_media_type' } })
    },
  )

  test.each<[string, string, Record<string, string>]>([
    ['a bad signature', 'shop', { 'x-hub-signature-256': `sha256=${'00'.repeat(32)}` }],
    ['SHA-1 alone', 'shop', { 'x-hub-signature-256': '', 'x-hub-signature': `sha1=${'00'.repeat(20)}` }],
    ['an unknown project, well signed', 'nobody', {}],
    ['a project whose name every object has', 'constructor', {}],
    ['a project without a secret', 'mute', {}],
    ["a delivery of Gitea with GitHub's headers", 'shop', { 'x-gitea-event': 'push' }],
    ["a delivery of Forgejo with GitHub's headers", 'shop', { 'x-forgejo-event': 'push' }],
  ])('%s is the same 401, and leaves no row', async (_, project, headers) => {
    const answer = await post(push(), headers, project)
    expect(answer).toEqual({ status: 401, body: (await post(push(), { 'x-hub-signature-256': 'nothing' })).body, type: problem })
    expect(answer.body).toMatchObject({ code: 'unauthenticated', hint: expect.any(String) })
    expect((await door.store.deliveries.list({})).items).toEqual([])
  })

  test.each([
    ['not JSON', '{', 'application/json'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'application/json'],
    ['a form without a payload', 'a=b', 'application/x-www-form-urlencoded'],
    ['empty', '', 'application/json'],
  ])('a signed body that is %s is 400', async (_, body, type) => {
    expect(await post(body, { 'content-type': type })).toMatchObject({ status: 400, body: { code: 'invalid_input' } })
  })

  test('not JSON and badly signed is 401: the signature comes first', async () => {
    expect((await post('{', { 'x-hub-signature-256': 'sha256=00' })).status).toBe(401)
  })

  test('the same delivery id with another body is 409', async () => {
    await post(push(), { 'x-github-delivery': 'one' })
    const other = await post(push({ message: 'another' }), { 'x-github-delivery': 'one' })
    expect(other).toMatchObject({ status: 409, body: { code: 'conflict' } })
  })

  test('a store that is away is 503 with Retry-After, never a false 2xx', async () => {
    await door.store.close()
    const response = await send(push())
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('5')
    await until('the fault is logged', () => door.logged().includes('delivery not taken'))
  })
})

const problem = 'application/problem+json'

function push(changes: { message?: string } = {}): string {
  return JSON.stringify({
    ref: 'refs/heads/main',
    after: sha,
    deleted: false,
    head_commit: { id: sha, message: changes.message ?? 'a commit' },
    sender: { id: 7, login: 'ana' },
  })
}

async function send(body: string | Buffer, headers: Record<string, string> = {}, project = 'shop'): Promise<Response> {
  return fetch(`${await door.listen()}/hooks/${project}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${createHmac('sha256', hookSecret).update(body).digest('hex')}`,
      ...headers,
    },
    body,
  })
}

async function post(...args: Parameters<typeof send>): Promise<{ status: number; body: unknown; type: string | null }> {
  const response = await send(...args)
  return { status: response.status, body: await response.json(), type: response.headers.get('content-type') }
}
