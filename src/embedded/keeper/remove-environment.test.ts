/** An environment that the configuration no longer has is given up by the keeper. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { laySampleApp, openDirectory, sampleDigest } from '../../../test/helpers/sample-app.ts'
import { endKeeper, livingApps } from '../../../test/helpers/keeper-process.ts'
import { until } from '../../../test/helpers/until.ts'
import { createKeeperClient } from '../../drivers/targets/keeper-client.ts'
import { removeEnvironments } from '../../drivers/targets/remove-environments.ts'
import { findFreePort } from '../../process/free-port.ts'
import { startKeeper, type Keeper } from './keeper.ts'

let base: string
let directory: string
let apps: string
let keeper: Keeper
let ports: Record<string, number>
const said: string[] = []

const start = () => startKeeper({ directory, apps, log: () => undefined })
const call = (method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown) =>
  createKeeperClient(keeper.socket).call(z.unknown(), method, `/environments${path}`, body)
const remove = (...configured: string[]) =>
  removeEnvironments({ socket: keeper.socket, configured, say: (line) => void said.push(line) })

async function versionOf(name: string): Promise<string> {
  return fetch(`http://127.0.0.1:${String(ports[name])}/version`).then(
    (response) => response.text(),
    () => 'nobody listens',
  )
}

async function serve(name: string, letter: string): Promise<void> {
  const place = laySampleApp(apps, letter)
  await call('PUT', `/${name}/edge`, { host: '127.0.0.1', port: ports[name] })
  await call('POST', `/${name}/stage`, {
    ...{ fence: 7, operationId: 'stage', digest: sampleDigest(letter), directory: place, workingDirectory: place },
    ...{ command: ['node', `${place}/app.cjs`, letter], env: {} },
  })
  await call('POST', `/${name}/activate`, { fence: 8, operationId: 'activate', digest: sampleDigest(letter) })
  await until(`${name} serves`, async () => (await versionOf(name)) === letter)
}

beforeEach(async () => {
  base = openDirectory()
  directory = `${base}/keeper`
  apps = `${base}/apps`
  mkdirSync(apps, { mode: 0o755 })
  ports = { old: await findFreePort(), staying: await findFreePort() }
  said.length = 0
  keeper = await start()
  await serve('old', 'a')
  await serve('staying', 'b')
})
afterEach(async () => {
  await keeper.stop()
  await endKeeper(directory)
  rmSync(base, { recursive: true, force: true })
})

it('its edge is closed and its application stopped, which is said; the others serve on', async () => {
  await remove('staying', 'new')
  expect(await versionOf('old')).toBe('nobody listens')
  expect(await versionOf('staying')).toBe('b')
  expect(livingApps(directory)).toHaveLength(1)
  expect(existsSync(`${directory}/edges/old`)).toBe(false)
  expect(said).toEqual([expect.stringMatching(/^environment old is configured no longer/)])
  await remove('staying')
  expect(said).toHaveLength(1)
})

it('stays away when the keeper starts again, its place is free for another, and it may come back', async () => {
  await remove('staying')
  await keeper.stop()
  keeper = await start()
  expect(await versionOf('old')).toBe('nobody listens')
  await call('PUT', '/new/edge', { host: '127.0.0.1', port: ports['old'] })
  expect((await fetch(`http://127.0.0.1:${String(ports['old'])}`)).status).toBe(503)
  await remove('staying')
  await call('PUT', '/old/edge', { host: '127.0.0.1', port: ports['old'] })
  expect((await fetch(`http://127.0.0.1:${String(ports['old'])}`)).status).toBe(503)
})

it('its fencing number is kept: an owner from before has nothing to say if it comes back', async () => {
  await remove('staying')
  const older = call('POST', '/old/activate', { fence: 7, operationId: 'late', digest: sampleDigest('a') })
  await expect(older).rejects.toMatchObject({ code: 'stale' })
})

it('what is under way there ends first', async () => {
  const slow = fetch(`http://127.0.0.1:${String(ports['old'])}/slow?ms=700`)
  await until('the request is under way', async () => {
    const { instances } = z.object({ instances: z.array(z.object({ inFlight: z.number() })) }).parse(await call('GET', '/old'))
    return instances[0]?.inFlight === 1
  })
  await remove('staying')
  expect((await slow).status).toBe(200)
})
