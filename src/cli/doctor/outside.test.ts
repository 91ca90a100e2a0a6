import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { engineMissing } from '../../../test/helpers/engine.ts'
import { registryMissing, startRegistry } from '../../../test/helpers/registry.ts'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { parseConfig } from '../../config/load-config.ts'
import { findFreePort } from '../../process/free-port.ts'
import { testIo } from '../test-io.ts'
import type { Check, Finding } from './check.ts'
import { checkDatabase, checkEngines, checkHaproxy, checkRegistries } from './outside.ts'

let cwd: string
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'belay-doctor-'))
})
afterAll(() => rm(cwd, { recursive: true, force: true }))

async function look(check: Check, text: string, env: NodeJS.ProcessEnv = process.env): Promise<Finding[]> {
  const all = { ...env, DATABASE_URL: 'postgresql://belay:canary@127.0.0.1:1/belay' }
  const projects = 'projects: { shop: { repository: "file:///srv/shop" } }\n'
  const config = await parseConfig({ text: `${projects}${text}`, file: join(cwd, 'belay.config.yml'), env: all })
  return check({ io: testIo({ cwd, env: all }), config, upIsRunning: false })
}

const eu = (more: string): string => `environments: { eu: { target: docker, edge: { listen: "127.0.0.1:9081" }${more} } }\n`

test('an engine that answers is shown with its version', async () => {
  const missing = engineMissing()
  skipUnless(missing === undefined, missing ?? '')
  expect(await look(checkEngines, eu(''))).toMatchObject([
    { state: 'good', detail: expect.stringMatching(/^\d+\.\d+.* for environment eu$/) as string },
  ])
})

test('one that does not answer is named with its environment and what to mend', async () => {
  const missing = engineMissing()
  skipUnless(missing === undefined, missing ?? '')
  expect(await look(checkEngines, eu(', engine: { host: "unix:///nowhere/docker.sock" }'))).toMatchObject([
    {
      state: 'bad',
      detail: expect.stringContaining('none answers for environment eu') as string,
      mend: expect.stringContaining('environments.eu.engine') as string,
    },
  ])
})

test('a machine without the programs is told what to install, for environments that need them only', async () => {
  const env = { PATH: join(cwd, 'empty') }
  expect(await look(checkEngines, eu(''), env)).toMatchObject([
    { state: 'bad', mend: expect.stringContaining('docker.io') as string },
  ])
  expect(await look(checkEngines, '', env)).toEqual([])
  expect(await look(checkHaproxy, eu(''), env)).toEqual([])
})

test('a registry is asked, with or without its credentials', async () => {
  const missing = registryMissing()
  skipUnless(missing === undefined, missing ?? '')
  const registry = await startRegistry({ auth: { username: 'ci', password: 'canary' } })
  try {
    const away = await findFreePort()
    const text = `registries: { main: { url: "${registry.url}" }, away: { url: "http://127.0.0.1:${String(away)}" } }\n`
    expect(await look(checkRegistries, text)).toMatchObject([
      { state: 'good', detail: 'main answers 401' },
      { state: 'bad', detail: expect.stringContaining('away does not answer') as string },
    ])
  } finally {
    await registry.stop()
  }
})

test('a database is tried, and its password is not shown', async () => {
  const [finding] = await look(checkDatabase, 'database: { url: { from_env: DATABASE_URL } }\n')
  expect(finding).toMatchObject({ state: 'bad', detail: '127.0.0.1:1, which does not answer' })
  expect(await look(checkDatabase, '')).toEqual([])
})
