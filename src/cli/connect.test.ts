import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resolveConnection } from './connect.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'belay-connect-'))
})

afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

async function upRan(data: string, url?: string): Promise<void> {
  await mkdir(data, { recursive: true })
  await writeFile(join(data, 'admin-token'), 'local token')
  if (url !== undefined)
    await writeFile(join(data, 'up.json'), JSON.stringify({ url, pid: 1, parts: {}, temporal: '', edges: {} }))
}

test('without anything it is the default server, and there is no token', () => {
  expect(resolveConnection({}, { env: {}, cwd: root })).toEqual({ url: { value: 'http://127.0.0.1:8080', from: 'default' } })
})

test('an `up` in a directory above is found, with its URL and its token', async () => {
  await upRan(join(root, '.belay'), 'http://127.0.0.1:7000')
  await mkdir(join(root, 'src'))
  const { url, token } = resolveConnection({}, { env: {}, cwd: join(root, 'src') })
  expect(url).toMatchObject({ value: 'http://127.0.0.1:7000' })
  expect(token).toMatchObject({ value: 'local token' })
})

test('a data directory that the configuration names is found', async () => {
  await upRan(join(root, 'state'), 'http://127.0.0.1:7001')
  await writeFile(join(root, 'belay.config.yml'), 'data: state\nprojects: {}\n')
  expect(resolveConnection({}, { env: {}, cwd: root })).toEqual({
    url: { value: 'http://127.0.0.1:7001', from: 'state/up.json' },
    token: { value: 'local token', from: 'state/admin-token' },
  })
})

test('flags win over the environment, and that over the files', async () => {
  await upRan(join(root, '.belay'), 'http://127.0.0.1:7000')
  await writeFile(join(root, 'token'), 'from a file\n')
  const env = { BELAY_URL: 'http://from.env', BELAY_TOKEN: 'from the environment' }
  expect(resolveConnection({}, { env, cwd: root })).toEqual({
    url: { value: 'http://from.env', from: 'BELAY_URL' },
    token: { value: 'from the environment', from: 'BELAY_TOKEN' },
  })
  expect(resolveConnection({ url: 'http://from.flag', tokenFile: 'token' }, { env, cwd: root })).toEqual({
    url: { value: 'http://from.flag', from: '--url' },
    token: { value: 'from a file', from: '--token-file' },
  })
})

test("this machine's admin token never goes to another server", async () => {
  await upRan(join(root, '.belay'), 'http://127.0.0.1:7000')
  expect(resolveConnection({ url: 'http://elsewhere.example' }, { env: {}, cwd: root }).token).toBeUndefined()
  expect(resolveConnection({}, { env: { BELAY_URL: 'http://elsewhere.example' }, cwd: root }).token).toBeUndefined()
})
