/** Deliveries of the other forges over a real socket; what holds for all of them is in hook-route.test.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hookSecret, makeProject, openFrontDoor, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { pushBody, signHook, type HookForge } from '../../../test/helpers/hook.ts'

const sha = '6f1ed002ab5595859014ebf0951522d9c1b2a3f4'
const names = ['github', 'gitea', 'forgejo', 'generic'] as const

let door: FrontDoor

/** A project of each forge, called like it; all with one secret. */
beforeEach(async () => {
  const projects = Object.fromEntries(names.map((forge) => [forge, makeProject({ name: forge, forge })]))
  door = await openFrontDoor({ config: { projects } })
})

afterEach(() => door.close())

describe.each(['gitea', 'forgejo', 'generic'] as const)('%s', (forge) => {
  const body = pushBody(forge, { sha, message: 'a commit' })

  test('a signed push is answered 202 with its run, by the id of its sender', async () => {
    const { status, body: answer } = await postAs(forge, { body })
    expect(status).toBe(202)
    const { items } = await door.store.runs.list({})
    expect(items).toMatchObject([{ number: 1, trigger: { sha, actor: { id: `${forge}:7`, name: 'ana' }, title: 'a commit' } }])
    expect(answer).toMatchObject({ run: { id: items[0]?.id, number: 1 } })
    expect((await door.store.deliveries.list({})).items).toMatchObject([
      { project: forge, forge, event: 'push', deliveryId: 'one' },
    ])
  })

  test('a redelivery, signed anew, is answered 200 with the first answer, and starts nothing more', async () => {
    const first = await postAs(forge, { body, sentAt: Date.now() - 60_000 })
    const again = await postAs(forge, { body })
    expect(first.status).toBe(202)
    expect(again).toMatchObject({ status: 200, body: first.body })
    expect((await door.store.runs.list({})).items).toHaveLength(1)
  })

  test('the same delivery id with another body is 409', async () => {
    await postAs(forge, { body })
    const other = await postAs(forge, { body: pushBody(forge, { sha, message: 'another' }) })
    expect(other).toMatchObject({ status: 409, body: { code: 'conflict' } })
  })

  test.each(names)(
    'a delivery of %s, signed with the same secret, is the same 401 unless it is in our format',
    async (sender) => {
      const format = (name: HookForge) => (name === 'forgejo' ? 'gitea' : name)
      const answer = await postAs(sender, { body: pushBody(sender, { sha, message: 'a commit' }) }, forge)
      expect(answer).toMatchObject(
        format(sender) === format(forge) ? { status: 202 } : { status: 401, body: (await unsigned()).body, type: problem },
      )
    },
  )

  test('a wrong secret is the same 401, and leaves no row', async () => {
    const answer = await postAs(forge, { body, secret: 'another secret' })
    expect(answer).toEqual({ status: 401, body: (await unsigned()).body, type: problem })
    expect((await door.store.deliveries.list({})).items).toEqual([])
  })
})

describe('what Gitea sends beside a push', () => {
  test.each([
    ['create', { sha, ref: 'main', ref_type: 'branch', sender: { id: 7, login: 'ana' } }],
    ['status', { sha, state: 'pending', context: 'belay/release', sender: { id: 8, login: 'belay' } }],
  ])('%s is answered 200 with a reason, whichever comes first, and the push starts one run', async (event, extra) => {
    const side = { body: JSON.stringify(extra), event }
    expect(await postAs('gitea', { ...side, deliveryId: 'before' })).toMatchObject({
      status: 200,
      body: { ignored: expect.any(String) },
    })
    expect((await postAs('gitea', { body: pushBody('gitea', { sha, message: 'a commit' }) })).status).toBe(202)
    expect((await postAs('gitea', { ...side, deliveryId: 'after' })).status).toBe(200)
    expect((await door.store.runs.list({})).items).toHaveLength(1)
  })

  test('a delivery of a webhook without a secret has a blank signature, and is 401', async () => {
    const body = pushBody('gitea', { sha, message: 'a commit' })
    expect((await postAs('gitea', { body, headers: { 'x-gitea-signature': '' } })).status).toBe(401)
  })
})

describe('replays of a delivery that signs its time', () => {
  const body = pushBody('generic', { sha, message: 'a commit' })

  test.each([
    ['more than five minutes old', -301_000],
    ['far ahead', 600_000],
  ])('one that is %s is the same 401, and leaves no row', async (_, byMs) => {
    const answer = await postAs('generic', { body, sentAt: Date.now() + byMs })
    expect(answer).toEqual({ status: 401, body: (await unsigned()).body, type: problem })
    expect((await door.store.deliveries.list({})).items).toEqual([])
  })

  test('one that was taken before is 401 once it is too old, not answered again', async () => {
    expect((await postAs('generic', { body })).status).toBe(202)
    expect((await postAs('generic', { body, sentAt: Date.now() - 600_000 })).status).toBe(401)
  })

  test('another type is answered 200 with the reason, and is listed by its type', async () => {
    const answer = await postAs('generic', { body: '{"type":"tag.created"}' })
    expect(answer).toMatchObject({ status: 200, body: { ignored: 'type tag.created starts nothing' } })
    expect((await door.store.deliveries.list({})).items).toMatchObject([{ event: 'tag.created' }])
  })
})

const problem = 'application/problem+json'

/** What a delivery that nobody signed gets, to compare. */
const unsigned = () => postAs('github', { body: '{}', headers: { 'x-hub-signature-256': 'nothing' } })

type Answer = { status: number; body: unknown; type: string | null }
type Signed = {
  body: string
  secret?: string
  deliveryId?: string
  event?: string
  sentAt?: number
  headers?: Record<string, string>
}

/** As `sender` signs it, to the project of that name unless another is given. */
async function postAs(sender: HookForge, { body, headers, ...more }: Signed, project: string = sender): Promise<Answer> {
  const signed = signHook({ forge: sender, secret: hookSecret, deliveryId: 'one', body, ...more })
  const response = await fetch(`${await door.listen()}/hooks/${project}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...signed, ...headers },
    body,
  })
  return { status: response.status, body: await response.json(), type: response.headers.get('content-type') }
}
