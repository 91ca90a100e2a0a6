import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { copyContext, type CopiedContext } from './copy-context.ts'
import { prepareBuild } from './dockerfile-build.ts'

let directory: string
let workspace: string
let foreign: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'belay-context-'))
  workspace = join(directory, 'checkout')
  foreign = join(directory, 'foreign')
  put('checkout/ctx/Dockerfile', 'FROM scratch\n')
  put('checkout/ctx/app.js', 'inside')
  put('foreign/Dockerfile', 'FROM foreign\n')
  put('foreign/app.js', 'foreign')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function put(file: string, text: string): void {
  mkdirSync(dirname(join(directory, file)), { recursive: true })
  writeFileSync(join(directory, file), text)
}

function copy(change: { context?: string; dockerfile?: string } = {}): Promise<CopiedContext> {
  const scratch = mkdtempSync(join(directory, 'scratch-'))
  const paths = { context: 'ctx', dockerfile: 'ctx/Dockerfile', ...change }
  return copyContext({ workspace, scratch, log: () => undefined, signal: new AbortController().signal, ...paths })
}

const read = (...parts: string[]): string => readFileSync(join(...parts), 'utf8')

test('a context that becomes a link after it was prepared gives nothing from outside', async () => {
  const scratch = mkdtempSync(join(directory, 'scratch-'))
  const prepared = await prepareBuild({
    build: {
      ...{ builder: 'docker', repository: 'main/app', registry: 'main', tags: [], labels: {}, args: {}, secrets: {} },
      ...{ context: 'ctx', dockerfile: 'ctx/Dockerfile' },
    },
    ...{ workspace, scratch, images: directory, secrets: {}, env: {}, registry: { name: 'main', url: 'http://127.0.0.1:1' } },
    log: () => undefined,
    spawned: () => undefined,
    signal: new AbortController().signal,
  })
  renameSync(join(workspace, 'ctx'), join(workspace, 'away'))
  symlinkSync(foreign, join(workspace, 'ctx'))
  expect(read(prepared.context, 'app.js')).toBe('inside')
  expect(read(prepared.dockerfile)).toBe('FROM scratch\n')
})

test('keeps executable bits, links and the list of what to leave out', async () => {
  chmodSync(join(workspace, 'ctx/app.js'), 0o755)
  symlinkSync('app.js', join(workspace, 'ctx/link'))
  put('checkout/ctx/.dockerignore', 'left-out\n')
  const { context, dockerfile } = await copy()
  expect(statSync(join(context, 'app.js')).mode & 0o111).toBe(0o111)
  expect(read(context, 'link')).toBe('inside')
  expect(read(context, '.dockerignore')).toBe('left-out\n')
  expect(dockerfile).toBe(join(context, 'Dockerfile'))
})

test('follows a link to the context, and one to the Dockerfile, that stays inside', async () => {
  symlinkSync('ctx', join(workspace, 'current'))
  symlinkSync('Dockerfile', join(workspace, 'ctx/Newest'))
  const { context, dockerfile } = await copy({ context: 'current', dockerfile: 'current/Newest' })
  expect(dockerfile).toBe(join(context, 'Dockerfile'))
})

test('takes a Dockerfile from outside of the context, with its own list of what to leave out', async () => {
  put('checkout/docker/app.Dockerfile', 'FROM beside\n')
  put('checkout/docker/app.Dockerfile.dockerignore', 'of its own\n')
  const { context, dockerfile } = await copy({ dockerfile: 'docker/app.Dockerfile' })
  expect(read(dockerfile)).toBe('FROM beside\n')
  expect(read(`${dockerfile}.dockerignore`)).toBe('of its own\n')
  expect(existsSync(join(context, 'app.Dockerfile'))).toBe(false)
})

test.each(['.dockerignore', '.containerignore', 'Dockerfile.dockerignore'])(
  'takes a %s that is a link for what it means inside, and refuses one that leads out',
  async (name) => {
    put('checkout/common-list', 'shared\n')
    symlinkSync('../common-list', join(workspace, 'ctx', name))
    expect(read((await copy()).context, name)).toBe('shared\n')
    rmSync(join(workspace, 'ctx', name))
    symlinkSync(join(foreign, 'app.js'), join(workspace, 'ctx', name))
    await expect(copy()).rejects.toMatchObject({ code: 'refused' })
  },
)

test.each([
  ['context', { context: 'out' }],
  ['context that is a file', { context: 'ctx/app.js' }],
  ['Dockerfile', { dockerfile: 'out/Dockerfile' }],
  ['Dockerfile that is a directory', { dockerfile: 'ctx' }],
  ['Dockerfile that is not there', { dockerfile: 'nothing' }],
])('refuses a %s, with its path', async (_, change) => {
  symlinkSync(foreign, join(workspace, 'out'))
  const message = expect.stringContaining(Object.values(change)[0] ?? '') as string
  await expect(copy(change)).rejects.toMatchObject({ code: 'refused', message })
})
