import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMemoryLog, hookSecret, openFrontDoor, type FrontDoor } from '../test/helpers/front-door.ts'
import { postPush } from '../test/helpers/hook.ts'
import { createClient } from '../src/api/client.ts'
import { findFreePort } from '../src/process/free-port.ts'
import { start, type RunningServer } from './server.ts'

let door: FrontDoor
let server: RunningServer | undefined

beforeEach(async () => {
  door = await openFrontDoor()
})

afterEach(async () => {
  await server?.stop()
  server = undefined
  await door.close()
})

test('starts and takes hooks while Temporal is away, and is alive but not ready', async () => {
  server = await startHere()
  const { status } = await postPush({ url: `${server.url}/hooks/shop`, secret: hookSecret, sha: 'a'.repeat(40), message: 'one' })
  expect(status).toBe(202)
  const client = createClient({ url: server.url, token: await door.token('viewer') })
  expect(await client.health()).toEqual({ status: 'ok' })
  await expect(client.ready()).rejects.toMatchObject({ code: 'unavailable' })
  expect((await client.listRuns()).items).toMatchObject([{ number: 1, status: 'queued' }])
})

test('stops with a stream open and a command that is not delivered; the next server has both again', async () => {
  server = await startHere()
  await postPush({ url: `${server.url}/hooks/shop`, secret: hookSecret, sha: 'a'.repeat(40), message: 'one' })
  const token = await door.token('viewer')
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` }
  const stream = await fetch(`${server.url}/api/v1/runs/1/events?project=shop`, { headers })
  expect(stream.status).toBe(200)
  await server.stop()
  await stream.text().catch(() => 'cut off')
  server = await startHere()
  const client = createClient({ url: server.url, token })
  expect((await client.getRun({ id: '1', project: 'shop' })).status).toBe('queued')
})

test('an address that is taken is a conflict that names it', async () => {
  server = await startHere()
  const port = Number(new URL(server.url).port)
  await expect(startHere(port)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(String(port)) })
})

async function startHere(port = 0): Promise<RunningServer> {
  const config = { ...door.config, listen: { host: '127.0.0.1', port } }
  const temporal = { address: `127.0.0.1:${String(await findFreePort())}`, namespace: 'default' }
  return start({ config, store: door.store, temporal, log: createMemoryLog().log })
}
