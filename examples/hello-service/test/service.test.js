import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { createService } from '../src/service.js'

async function startService(t, options) {
  const service = createService(options)
  service.server.listen(0, '127.0.0.1')
  await once(service.server, 'listening')
  t.after(() => service.stop())
  return `http://127.0.0.1:${service.server.address().port}`
}

test('says hello with its version', async (t) => {
  const url = await startService(t, { version: '7' })
  const response = await fetch(url)
  assert.equal(response.status, 200)
  assert.equal(await response.text(), 'hello from version 7\n')
})

test('counts every request but probes and stats', async (t) => {
  const url = await startService(t, { version: '7' })
  for (const path of ['/', '/healthz', '/', '/nothing-here', '/stats']) await (await fetch(url + path)).text()
  assert.deepEqual(await (await fetch(`${url}/stats`)).json(), { version: '7', requests: 3 })
})

test('answers 404 for what it does not have', async (t) => {
  const url = await startService(t, { version: '7' })
  assert.equal((await fetch(`${url}/nothing-here`)).status, 404)
})

test('stays healthy unless told otherwise', async (t) => {
  const url = await startService(t, { version: '7' })
  for (let request = 0; request < 30; request += 1) await (await fetch(url)).text()
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
})

test('turns unhealthy after the requests it was told, and still answers', async (t) => {
  const url = await startService(t, { version: '7', unhealthyAfterRequests: 2 })
  await (await fetch(url)).text()
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  await (await fetch(url)).text()
  assert.equal((await fetch(`${url}/healthz`)).status, 503)
  assert.equal((await fetch(url)).status, 200)
})
