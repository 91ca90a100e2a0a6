import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openFrontDoor, planDigest, startPlannedRun, type FrontDoor } from '../../../test/helpers/front-door.ts'
import { routes, type Access, type Route } from '../../api/routes.ts'
import { roles, type Role } from '../../store/store.ts'
import { createApp } from '../app.ts'
import { runnerRoutes } from '../routes/runner/routes.ts'

let door: FrontDoor
const tokens = new Map<string, string>()

beforeAll(async () => {
  door = await openFrontDoor()
  for (const role of roles) tokens.set(role, await door.token(role))
  const { id: runId } = await startPlannedRun(door.store)
  const grant = { runner: 'r1', runId, epoch: 1, planDigest, steps: ['1'] }
  tokens.set('segment', await door.store.tokens.createSegmentToken({ ...grant, expiresAt: Date.now() + 60_000 }))
  tokens.set('expired segment', await door.store.tokens.createSegmentToken({ ...grant, expiresAt: Date.now() - 1 }))
})

afterAll(() => door.close())

/** Written out by hand, so that a change of the rules shows here. */
const lets: Readonly<Record<Exclude<Access, 'public'>, readonly (Role | 'segment')[]>> = {
  viewer: ['viewer', 'operator', 'approver', 'admin'],
  operator: ['operator', 'admin'],
  approver: ['approver', 'admin'],
  admin: ['admin'],
  runner: ['runner', 'admin'],
  segment: ['segment'],
  runner_or_segment: ['runner', 'admin', 'segment'],
}

const table: [string, Route][] = Object.entries({ ...routes, ...runnerRoutes })
const guarded = table.filter(([, route]) => route.access !== 'public')

describe('every route', () => {
  test('but health needs a token', () => {
    expect(table.filter(([, route]) => route.access === 'public').map(([name]) => name)).toEqual(['health', 'ready'])
  })

  test.each(guarded)('%s refuses a call without a token, with an unknown one and with an expired one', async (_, route) => {
    for (const headers of [{}, bearer('bly_unknown'), bearer(tokens.get('expired segment')), { authorization: 'Basic YTpi' }]) {
      expect((await call(route, headers)).status).toBe(401)
    }
  })

  test.each(guarded)('%s lets in whom its rule names, and nobody else', async (_, route) => {
    const expected = lets[route.access as keyof typeof lets]
    const letIn: string[] = []
    for (const who of [...roles, 'segment']) {
      const { status } = await call(route, bearer(tokens.get(who)))
      expect(status).not.toBe(401)
      if (status !== 403) letIn.push(who)
    }
    expect(letIn.sort()).toEqual([...expected].sort())
  })

  test('is in the application as it is in the table, and no other is', () => {
    const listed = table.map(([, route]) => `${route.method} ${route.path}`)
    expect(listed.every((line) => door.app.hasRoute({ method: line.split(' ')[0] ?? '', url: line.split(' ')[1] ?? '' }))).toBe(
      true,
    )
    const tree = door.app.printRoutes({ commonPrefix: false })
    const methods = [...tree.matchAll(/\(([A-Z, ]+)\)/g)].flatMap(([, found = '']) => found.split(', '))
    // The hooks are the one route outside the tables.
    expect(methods).toHaveLength(listed.length + 1)
  })

  test('without a rule cannot be added', () => {
    const app = createApp(door)
    const add = () => app.route({ method: 'GET', url: '/forgotten', handler: () => 'open' })
    expect(add).toThrow('no access rule for /forgotten')
  })
})

describe('refusals', () => {
  test('say in RFC 9457 what is wrong and what to do, and how to sign in', async () => {
    const response = await door.app.inject({ method: 'GET', url: '/api/v1/runs' })
    expect(response.headers['content-type']).toBe('application/problem+json')
    expect(response.headers['www-authenticate']).toBe('Bearer')
    const document = { type: 'about:blank', title: 'Unauthorized', status: 401, code: 'unauthenticated' }
    expect(response.json()).toEqual({ ...document, detail: 'this needs a token', hint: expect.any(String) })
  })

  test('an address that is not there is 404, one for other methods 405 with Allow', async () => {
    expect((await door.app.inject({ method: 'GET', url: '/api/v2/runs' })).statusCode).toBe(404)
    const response = await door.app.inject({ method: 'DELETE', url: '/api/v1/runs' })
    expect([response.statusCode, response.headers['allow']]).toEqual([405, 'GET, POST'])
  })

  test('a query that is not understood is 400 and names the field', async () => {
    const response = await door.app.inject({
      method: 'GET',
      url: '/api/v1/runs?limit=900',
      headers: bearer(tokens.get('viewer')),
    })
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ code: 'invalid_input', detail: expect.stringContaining('limit') })
  })
})

async function call(route: Route, headers: Record<string, string>): Promise<{ status: number }> {
  const url = route.path.replaceAll(':digest', `sha256:${'0'.repeat(64)}`).replaceAll(/:\w+/g, '1')
  const payload = route.method === 'GET' ? {} : { payload: '{}' }
  const type = route.path.includes('/logs/') ? 'application/octet-stream' : 'application/json'
  const response = await door.app.inject({ method: route.method, url, headers: { 'content-type': type, ...headers }, ...payload })
  return { status: response.statusCode }
}

function bearer(token: string | undefined): Record<string, string> {
  return { authorization: `Bearer ${token ?? ''}` }
}
