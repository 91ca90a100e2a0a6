import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { layCredentials, withCallDirectory } from './call-directory.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'belay-calls-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

const registry = { name: 'main', url: 'http://127.0.0.1:5000', username: 'ci', password: 'canary' }

test('a call has a directory that is its own, for as long as it takes', async () => {
  await withCallDirectory(directory, async (first) => {
    expect(statSync(first).mode & 0o777).toBe(0o700)
    await withCallDirectory(directory, (second) => {
      expect(new Set([first, second, ...readdirSync(join(directory, 'calls')).map((name) => join(directory, 'calls', name))])).toEqual(new Set([first, second])) // prettier-ignore
      return Promise.resolve()
    })
    expect(existsSync(first)).toBe(true)
  })
  await expect(withCallDirectory(directory, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(readdirSync(join(directory, 'calls'))).toEqual([])
})

test.each(['4194304-1-left', `${String(process.pid)}-1-left`, `${String(process.pid)}-left`, 'nobody', '-', 'NaN-1-x'])(
  'what a killed deployer has left as %s is removed, also if its pid is taken again',
  async (name) => {
    const left = join(directory, 'calls', name)
    mkdirSync(left, { recursive: true })
    await withCallDirectory(directory, () => Promise.resolve())
    expect(existsSync(left)).toBe(false)
  },
)

test.each([
  [
    'the context that was chosen with `docker context use`',
    '{"currentContext":"eu","credsStore":"x","auths":{"a":{}}}',
    { currentContext: 'eu' },
  ],
  ['no context, as none was chosen', '{}', {}],
  ['no context, as the file cannot be read', '{', {}],
  ['no context, as there is no file', undefined, {}],
])('lays beside the credentials of one registry %s', async (_, own, expected) => {
  const config = join(directory, 'home', '.docker')
  mkdirSync(join(config, 'contexts'), { recursive: true })
  if (own !== undefined) writeFileSync(join(config, 'config.json'), own)
  await withCallDirectory(directory, async (path) => {
    await layCredentials(path, { registry, env: { HOME: join(directory, 'home') } })
    const auth = Buffer.from('ci:canary').toString('base64')
    const laid = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as unknown
    expect(laid).toEqual({ auths: { '127.0.0.1:5000': { auth } }, ...expected })
    expect(existsSync(join(path, 'contexts'))).toBe(true)
  })
})
