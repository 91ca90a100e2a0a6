/** Edges for instances that are not the keeper's, asked for through the client that targets use, of a real keeper. */
import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endKeeper } from '../../../test/helpers/keeper-process.ts'
import { openDirectory, sampleDigest } from '../../../test/helpers/sample-app.ts'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { until } from '../../../test/helpers/until.ts'
import { startKeeper, type Keeper } from '../../embedded/keeper/keeper.ts'
import { findFreePort } from '../../process/free-port.ts'
import type { Upstream } from '../edges/edge.ts'
import { edges } from '../edges/index.ts'
import { createEdgeControl } from './create-edge-control.ts'
import type { EdgeControl } from './edge-control.ts'

describe.each(edges)('with the edge $name', (driver) => {
  let base: string
  let keeper: Keeper
  let control: EdgeControl
  let url: string
  let fence: number
  /** Answers the slow request. */
  let finish: (() => void) | undefined
  const servers: Server[] = []

  const start = () => startKeeper({ directory: `${base}/keeper`, apps: `${base}/apps`, log: () => undefined })
  const operation = () => ({ environment: 'production', fence: ++fence, operationId: `operation ${String(fence)}` })
  const text = async (path = '/') => (await fetch(`${url}${path}`)).text()

  beforeEach(async () => {
    const obstacle = driver.findObstacle()
    skipUnless(obstacle === undefined, obstacle ?? '')
    base = openDirectory()
    fence = 0
    finish = undefined
    mkdirSync(`${base}/apps`, { mode: 0o755 })
    keeper = await start()
    const port = await findFreePort()
    url = `http://127.0.0.1:${String(port)}`
    const place = { driver: driver.name, host: '127.0.0.1', port }
    control = createEdgeControl({ socket: keeper.socket, edges: { production: place } })
  })
  afterEach(async () => {
    await keeper.stop()
    await endKeeper(`${base}/keeper`)
    for (const server of servers.splice(0)) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    rmSync(base, { recursive: true, force: true })
  })

  async function serve(id: string, letter: string): Promise<Upstream> {
    const server = createServer((incoming, response) => {
      if (incoming.url === '/slow') finish = () => response.end(id)
      else response.end(id)
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { id, digest: sampleDigest(letter), host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  }

  it('opens, routes to all instances of a release, says which served before, and takes traffic off', async () => {
    await control.open('production')
    expect((await fetch(url)).status).toBe(503)
    const first = [await serve('a1', 'a'), await serve('a2', 'a')]
    expect(await control.route(operation(), first)).toEqual({})
    expect([await text(), await text()].sort()).toEqual(['a1', 'a2'])
    const second = [await serve('b1', 'b')]
    expect(await control.route(operation(), second)).toEqual({ previousDigest: sampleDigest('a') })
    expect(await text()).toBe('b1')
    expect(await control.view('production')).toMatchObject({ fence: 2, active: sampleDigest('b'), upstreams: second })
    await until('both releases are counted', async () => {
      const { traffic } = await control.view('production')
      return traffic[sampleDigest('a')]?.requests === 2 && traffic[sampleDigest('b')]?.requests === 1
    }, 5_000) // prettier-ignore
    await control.unroute(operation())
    expect((await fetch(url)).status).toBe(503)
    expect(await control.view('production')).toMatchObject({ fence: 3, upstreams: [] })
    expect((await control.view('production')).active).toBeUndefined()
  })

  it('is fenced: a lower number is stale, and a repeat gets the recorded answer and changes nothing', async () => {
    await control.route(operation(), [await serve('a1', 'a')])
    const repeated = operation()
    const second = [await serve('b1', 'b')]
    const answer = { previousDigest: sampleDigest('a') }
    expect(await control.route(repeated, second)).toEqual(answer)
    expect(await control.route(repeated, [await serve('c1', 'c')])).toEqual(answer)
    expect(await text()).toBe('b1')
    await control.announce(operation())
    await expect(control.route(repeated, [await serve('c1', 'c')])).rejects.toMatchObject({ code: 'stale' })
    expect(await text()).toBe('b1')
    await expect(control.unroute({ ...operation(), fence: 1 })).rejects.toMatchObject({ code: 'stale' })
    expect(await text()).toBe('b1')
  })

  it('drained waits for what is under way to that instance, and for nothing else', async () => {
    const first = [await serve('a1', 'a')]
    await control.route(operation(), first)
    const slow = text('/slow')
    await until('it is under way', () => finish !== undefined, 5_000)
    await control.route(operation(), [await serve('b1', 'b')])
    let over = false
    const drained = control.drained('production', ['a1']).then(() => (over = true))
    await control.drained('production', ['b1', 'nobody'])
    expect(over).toBe(false)
    finish?.()
    await drained
    expect(await slow).toBe('a1')
  })

  it('serves the same after a restart of the keeper', async () => {
    await control.route(operation(), [await serve('a1', 'a')])
    await keeper.stop()
    keeper = await start()
    expect(await text()).toBe('a1')
  })

  it.each([
    { wrong: { host: 'a;disable server app/blue1' }, field: 'upstreams.0.host' },
    { wrong: { host: 'a\nb' }, field: 'upstreams.0.host' },
    { wrong: { port: 0 }, field: 'upstreams.0.port' },
    { wrong: { digest: 'latest' }, field: 'upstreams.0.digest' },
  ])('refuses an upstream that is none: $field $wrong', async ({ wrong, field }) => {
    const refused = control.route(operation(), [{ ...(await serve('a1', 'a')), ...wrong }])
    await expect(refused).rejects.toMatchObject({ code: 'invalid_input', message: expect.stringContaining(field) as string })
  })

  it('refuses instances of two releases', async () => {
    const refused = control.route(operation(), [await serve('a1', 'a'), await serve('b1', 'b')])
    await expect(refused).rejects.toMatchObject({ code: 'invalid_input' })
  })
})
