import { afterEach, beforeEach, expect, test } from 'vitest'
import { openFrontDoor, type FrontDoor } from '../../test/helpers/front-door.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let door: FrontDoor
let token: string

beforeEach(async () => {
  door = await openFrontDoor()
  token = await door.token('admin')
})

afterEach(() => door.close())

async function belay(...args: string[]) {
  const io = testIo({ cwd: door.directory, env: { BELAY_URL: await door.listen(), BELAY_TOKEN: token } })
  await runProgram(args, io)
  return io.result
}

test('create prints the token and nothing else on stdout, and says on stderr that this is the only time', async () => {
  const { code, out, err } = await belay('token', 'create', 'ci', '--role', 'operator')
  expect({ code, err }).toEqual({ code: 0, err: 'token "ci" of role operator: it is not shown again\n' })
  expect(out).toMatch(/^bly_[\w-]{43}\n$/)
  expect(await door.store.tokens.find(out.trim())).toEqual({ name: 'ci', role: 'operator' })
})

test('create --json has all of it', async () => {
  const { out } = await belay('token', 'create', 'ci', '--role', 'viewer', '--expires-in', '30d', '--json')
  const created = JSON.parse(out) as { token: string; expiresAt: number }
  expect(created).toMatchObject({ name: 'ci', role: 'viewer' })
  expect(created.expiresAt).toBeGreaterThan(Date.now())
  expect(await door.store.tokens.find(created.token)).toEqual({ name: 'ci', role: 'viewer' })
})

test('a name that is taken is exit 2 and says how to replace it, which works', async () => {
  const { out: older } = await belay('token', 'create', 'ci', '--role', 'viewer')
  const { code, out, err } = await belay('token', 'create', 'ci', '--role', 'viewer')
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain('--replace')
  expect((await belay('token', 'create', 'ci', '--role', 'viewer', '--replace')).code).toBe(0)
  expect(await door.store.tokens.find(older.trim())).toBeUndefined()
})

test('list shows name, role and times, and no token', async () => {
  const { out: made } = await belay('token', 'create', 'ci', '--role', 'operator', '--expires-in', '2h')
  const { out } = await belay('token', 'list')
  const [head, ci, admin] = out.split('\n')
  expect(head).toMatch(/^NAME +ROLE +CREATED +EXPIRES$/)
  expect(ci).toMatch(/^ci +operator +\d{4}-\d\d-\d\d .+ {2}\d{4}-\d\d-\d\d /)
  expect(admin).toMatch(/^admin +admin .* never$/)
  expect(out).not.toContain(made.trim())
  const { items } = JSON.parse((await belay('token', 'list', '--json')).out) as { items: { name: string }[] }
  expect(items.map(({ name }) => name)).toEqual(['ci', 'admin'])
})

test('list has those of every page', async () => {
  for (let n = 0; n < 205; n++) await door.store.tokens.create({ name: `t${String(n)}`, role: 'viewer' })
  expect((await belay('token', 'list')).out.trim().split('\n')).toHaveLength(1 + 205 + 1)
})

test('revoke ends it; the last admin token is exit 2 and says why', async () => {
  const { out: made } = await belay('token', 'create', 'ci', '--role', 'operator')
  expect(await belay('token', 'revoke', 'ci')).toEqual({ code: 0, out: 'token "ci" is revoked\n', err: '' })
  expect(await door.store.tokens.find(made.trim())).toBeUndefined()
  const { code, err } = await belay('token', 'revoke', 'admin')
  expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('last valid admin token') as string })
})

test('who is no admin is told so', async () => {
  token = await door.token('operator')
  for (const args of [['list'], ['create', 'ci', '--role', 'viewer'], ['revoke', 'admin']]) {
    const { code, err } = await belay('token', ...args)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('It needs the role admin') as string })
  }
})
