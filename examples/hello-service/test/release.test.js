/** What was built is what runs: these tests start dist/, as an environment does. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const version = readFileSync(new URL('../version.txt', import.meta.url), 'utf8').trim()

async function startRelease(t) {
  const server = fileURLToPath(new URL('../dist/server.js', import.meta.url))
  const child = spawn(process.execPath, [server], { env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, port: Number(/port (\d+)$/.exec(line)?.[1]) }
}

/** A request whose head has arrived (the server said "100 Continue") and whose body has not. */
async function beginRequest(port) {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  socket.write('POST / HTTP/1.1\r\nHost: service\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n')
  const [answer] = await once(socket, 'data')
  assert.match(answer, /^HTTP\/1.1 100 /)
  return socket
}

async function isRefused(port) {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return false
  } catch (error) {
    // A reset one was still waiting to be accepted when the door closed: the next one tells.
    assert.match(error.code, /^(ECONNREFUSED|ECONNRESET)$/)
    return error.code === 'ECONNREFUSED'
  } finally {
    socket.destroy()
  }
}

test('the build carries the version of its commit', async (t) => {
  const { port } = await startRelease(t)
  const response = await fetch(`http://127.0.0.1:${port}/`)
  assert.equal(await response.text(), `hello from version ${version}\n`)
})

test('SIGTERM refuses what is new, finishes what is in flight, and exits 0', { timeout: 20_000 }, async (t) => {
  const { child, port } = await startRelease(t)
  const exit = once(child, 'exit')
  const socket = await beginRequest(port)
  child.kill('SIGTERM')
  while (!(await isRefused(port)));
  assert.equal(child.exitCode, null)

  const answer = once(socket, 'data')
  socket.write('ok')
  assert.match((await answer)[0], /^HTTP\/1.1 200 /)
  assert.deepEqual(await exit, [0, null])
})

test('SIGTERM does not wait for connections that are kept open for nothing', { timeout: 20_000 }, async (t) => {
  const { child, port } = await startRelease(t)
  const exit = once(child, 'exit')
  await (await fetch(`http://127.0.0.1:${port}/`)).text()
  child.kill('SIGTERM')
  assert.deepEqual(await exit, [0, null])
})
