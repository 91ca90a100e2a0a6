import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFrontDoor, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { createClient, type Client } from '../../api/client.ts'

let door: FrontDoor
let admin: Client

beforeEach(async () => {
  door = await openFrontDoor()
  admin = await door.client('admin')
})

afterEach(() => door.close())

async function audit() {
  const { items } = await door.store.audit.list({})
  return items.map(({ actor, action, subject, data }) => ({ actor, action, subject, data }))
}

async function mayRead(token: string): Promise<boolean> {
  const client = createClient({ url: await door.listen(), token })
  return client.listRuns().then(
    () => true,
    () => false,
  )
}

describe('a token', () => {
  test('is shown when it is made, opens what its role may, and is found neither in a list nor in the audit nor in the log', async () => {
    const { token, ...rest } = await admin.createToken({ name: 'ci:deploy', role: 'operator' })
    expect(rest).toEqual({ name: 'ci:deploy', role: 'operator' })
    expect(await door.store.tokens.find(token)).toEqual(rest)
    expect(await mayRead(token)).toBe(true)
    const list = await admin.listTokens()
    expect(list.items.map(({ name, role }) => [name, role])).toEqual([
      ['ci:deploy', 'operator'],
      ['admin', 'admin'],
    ])
    expect(await audit()).toEqual([
      { actor: 'token:admin', action: 'token.create', subject: 'ci:deploy', data: { role: 'operator' } },
      { actor: 'belay', action: 'token.create', subject: 'admin', data: { role: 'admin' } },
    ])
    for (const text of [JSON.stringify(list), JSON.stringify(await audit()), door.logged()]) expect(text).not.toContain(token)
  })

  test('with a time is valid for as long', async () => {
    const before = Date.now()
    const { expiresAt = 0 } = await admin.createToken({ name: 'ci', role: 'viewer', expires_in: '30d' })
    const days = 30 * 86_400_000
    expect(expiresAt).toBeGreaterThanOrEqual(before + days)
    expect(expiresAt).toBeLessThanOrEqual(Date.now() + days)
    expect((await admin.listTokens()).items[0]).toMatchObject({ name: 'ci', expiresAt })
  })

  test.each(['0s', '30', 'tomorrow', '-1d', '3651d', '999999999d'])('with the time %s is refused', async (time) => {
    const call = admin.createToken({ name: 'ci', role: 'viewer', expires_in: time })
    await expect(call).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining(time),
      hint: expect.stringContaining('30d'),
    })
    expect((await audit()).map(({ actor }) => actor)).toEqual(['belay'])
  })

  test.each(['', 'Ana', '-x', 'a b', 'a/b', 'ä', 'a'.repeat(64)])('of the name "%s" is refused', async (name) => {
    await expect(admin.createToken({ name, role: 'viewer' })).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('name: expected a-z'),
    })
  })

  test('of a name that there is is refused, and the older one stays; with `replace` it ends', async () => {
    const { token: older } = await admin.createToken({ name: 'ci', role: 'viewer' })
    await expect(admin.createToken({ name: 'ci', role: 'operator' })).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('--replace'),
    })
    expect(await mayRead(older)).toBe(true)
    const { token: newer } = await admin.createToken({ name: 'ci', role: 'operator', replace: true })
    expect([await mayRead(older), await mayRead(newer)]).toEqual([false, true])
    expect((await audit())[0]).toMatchObject({ action: 'token.create', data: { role: 'operator', replaces: 'viewer' } })
  })

  test('of a name whose token has expired needs no `replace`', async () => {
    await door.store.tokens.create({ name: 'ci', role: 'viewer', expiresAt: Date.now() - 1 })
    expect(await admin.createToken({ name: 'ci', role: 'viewer' })).toMatchObject({ name: 'ci' })
  })

  test('of one name asked for by several at once is made once', async () => {
    const asked = await Promise.allSettled([1, 2, 3, 4].map(() => admin.createToken({ name: 'ci', role: 'viewer' })))
    const made = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(made).toHaveLength(1)
    expect(await mayRead(made[0]?.token ?? '')).toBe(true)
  })

  test('that is revoked opens nothing, and is out of the list; one that is not there is 404', async () => {
    const { token } = await admin.createToken({ name: 'ci', role: 'viewer' })
    await admin.revokeToken('ci')
    expect(await mayRead(token)).toBe(false)
    expect((await admin.listTokens()).items.map(({ name }) => name)).toEqual(['admin'])
    expect((await audit())[0]).toEqual({ actor: 'token:admin', action: 'token.revoke', subject: 'ci', data: {} })
    await expect(admin.revokeToken('ci')).rejects.toMatchObject({ code: 'not_found', hint: expect.any(String) })
    expect(await audit()).toHaveLength(3)
  })

  test('that Belay named after a host can be revoked, whatever is in it', async () => {
    await door.store.tokens.create({ name: 'runner:Büro 7-ab12', role: 'runner' })
    await admin.revokeToken('runner:Büro 7-ab12')
    expect((await admin.listTokens()).items.map(({ name }) => name)).toEqual(['admin'])
  })
})

describe('the last valid admin token', () => {
  const refusal = { code: 'conflict', message: expect.stringContaining('last valid admin'), hint: expect.any(String) }

  test('is neither revoked nor replaced by one of another role; an expired one does not count', async () => {
    await door.store.tokens.create({ name: 'old', role: 'admin', expiresAt: Date.now() - 1 })
    await expect(admin.revokeToken('admin')).rejects.toMatchObject(refusal)
    await expect(admin.createToken({ name: 'admin', role: 'viewer', replace: true })).rejects.toMatchObject(refusal)
    expect((await admin.listTokens()).items.map(({ name }) => name)).toContain('admin')
    await admin.revokeToken('old')
  })

  test('is not replaced by one that expires, nor ended where only one that expires would be left', async () => {
    const call = admin.createToken({ name: 'admin', role: 'admin', expires_in: '30d', replace: true })
    await expect(call).rejects.toMatchObject({
      ...refusal,
      message: expect.stringContaining('expires'),
      hint: expect.stringContaining('without an expiry'),
    })
    await admin.createToken({ name: 'ana', role: 'admin', expires_in: '30d' })
    await expect(admin.revokeToken('admin')).rejects.toMatchObject(refusal)
    expect((await admin.listTokens()).items.map(({ name }) => name)).toEqual(['ana', 'admin'])
  })

  test('may be replaced by an admin token, and go once there is another', async () => {
    const { token } = await admin.createToken({ name: 'admin', role: 'admin', replace: true })
    await expect(admin.listTokens()).rejects.toMatchObject({ code: 'unauthenticated' })
    const newer = createClient({ url: await door.listen(), token })
    await newer.createToken({ name: 'ana', role: 'admin' })
    await newer.revokeToken('admin')
    expect(await door.store.tokens.hasAny('admin')).toBe(true)
  })

  test('is left when two that are left are revoked at once', async () => {
    await admin.createToken({ name: 'ana', role: 'admin' })
    const ends = await Promise.allSettled([admin.revokeToken('ana'), admin.revokeToken('admin')])
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await door.store.tokens.hasAny('admin')).toBe(true)
  })
})
