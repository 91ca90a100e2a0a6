import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../test/helpers/until.ts'
import { findFreePort } from '../process/free-port.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'
import { heartbeatLimitMs, startHeartbeat } from './worker/heartbeat.ts'

let cwd: string
let file: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'belay-health-'))
  file = join(cwd, 'health.json')
})

afterEach(() => {
  rmSync(cwd, { recursive: true, force: true })
})

async function health(...args: string[]) {
  const io = testIo({ cwd })
  await runProgram(['health', ...args], io)
  return io.result
}

describe('a worker', () => {
  it('is well while it says so', async () => {
    const heartbeat = startHeartbeat({ file, role: 'runner', findTrouble: () => Promise.resolve(undefined) })
    await until('it is well', async () => (await health('runner', '--file', file)).code === 0)
    await heartbeat.stop()
    expect(await health('runner', '--file', file)).toMatchObject({ code: 1, out: '' })
  })

  it('with trouble says which', async () => {
    const heartbeat = startHeartbeat({ file, role: 'control', findTrouble: () => Promise.resolve('Temporal is away') })
    const told = await until('it says something', async () => {
      const { code, err } = await health('control', '--file', file)
      return err.includes('has not begun') ? undefined : { code, err }
    })
    await heartbeat.stop()
    expect(told).toEqual({ code: 1, err: 'control is not well: Temporal is away\n' })
  })

  it.each([
    [
      'an old word',
      JSON.stringify({ role: 'runner', at: Date.now() - heartbeatLimitMs - 60_000 }),
      'it has said nothing for 80 s',
    ],
    ['a word of another worker', JSON.stringify({ role: 'control', at: Date.now() }), 'is the file of a worker control'],
    ['another file', '[]', 'is not the file of a worker'],
    ['half a file', '{"role":"run', 'is not the file of a worker'],
  ])('is not well by %s', async (_, text, why) => {
    writeFileSync(file, text)
    expect(await health('runner', '--file', file)).toEqual({ code: 1, out: '', err: expect.stringContaining(why) as string })
  })

  it('is not well if it cannot write', async () => {
    const heartbeat = startHeartbeat({
      file: join(cwd, 'nowhere/file'),
      role: 'runner',
      findTrouble: () => Promise.resolve(undefined),
    })
    expect((await health('runner', '--file', join(cwd, 'nowhere/file'))).err).toContain('has not begun')
    await heartbeat.stop()
  })
})

describe('the server', () => {
  it.each([
    [200, 0, ''],
    [503, 1, 'answers 503: not ready'],
  ])('that answers %i at /readyz is exit %i', async (status, code, why) => {
    const paths: (string | undefined)[] = []
    const server = createServer((request, response) => {
      paths.push(request.url)
      response.writeHead(status).end('not ready')
    })
    const port = await findFreePort()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    try {
      const result = await health('server', '--url', `http://127.0.0.1:${String(port)}`)
      expect(result).toMatchObject({ code, err: expect.stringContaining(why) as string })
      expect(paths).toEqual(['/readyz'])
    } finally {
      server.close()
    }
  })

  it('that does not answer is exit 1 and says where', async () => {
    const url = `http://127.0.0.1:${String(await findFreePort())}`
    expect(await health('server', '--url', url)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`${url} does not answer`) as string,
    })
  })
})

it('a part that is not there is exit 2', async () => {
  expect(await health('keeper')).toMatchObject({
    code: 2,
    err: expect.stringContaining('server, control, deployer, runner') as string,
  })
})
