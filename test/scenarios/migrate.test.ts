/** Releases that change the environment's data: `up` before, `down` after traffic is back, each with its own image. The data is a file. */
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { openDirectory } from '../helpers/sample-app.ts'
import { loadStepRow, startScenario, type Scenario } from '../helpers/scenario.ts'
import { startTraffic } from '../helpers/traffic-process.ts'
import { until } from '../helpers/until.ts'

const names = ['production', 'several', 'oneway', 'killed', 'nothing', 'missing'] as const
type Name = (typeof names)[number]
const secret = 'canary-of-a-database'

/** Adds the release's name to the file, or takes it out, and notes which release served meanwhile. Both may run again. */
const migrateProgram = `
const fs = require('node:fs')
const file = process.env.DATABASE
const version = fs.readFileSync(__dirname + '/version.txt', 'utf8').trim()
const read = () => (fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : [])
const note = (text) => fs.appendFileSync(file + '.log', text + '\\n')
async function main(what) {
  const response = await fetch(fs.readFileSync(file + '.edge', 'utf8') + '/version', { headers: { connection: 'close' } })
  note(what + ' ' + version + ' while ' + (response.ok ? await response.text() : response.status))
  if (what === 'up') fs.writeFileSync(file, JSON.stringify([...new Set([...read(), version])]))
  else fs.writeFileSync(file, JSON.stringify(read().filter((one) => one !== version)))
  if (fs.existsSync(file + '.hold') && what === 'up') setInterval(() => undefined, 1000)
  else if (what === 'up' && process.argv[3] === 'fail') { console.log('cannot: ' + process.env.PASSWORD); process.exit(3) }
}
void main(process.argv[2])
`

let scenario: Scenario
let data: string

beforeAll(async () => {
  data = openDirectory()
  chmodSync(data, 0o777)
  const more = (name: Name) => ({ more: `env: { DATABASE: ${data}/${name}, PASSWORD: { from_secret: database } }` })
  scenario = await startScenario({
    environments: Object.fromEntries(names.map((name) => [name, more(name)])),
    config: 'runners: { slots: 4 }\nsecrets: { database: { provider: env, name: DATABASE_PASSWORD, projects: [hello] } }\n',
    env: { DATABASE_PASSWORD: secret },
  })
  for (const name of names) writeFileSync(`${data}/${name}.edge`, scenario.system.edgeOf(name))
})

afterAll(async () => {
  await scenario?.stop()
  rmSync(data, { recursive: true, force: true })
})

interface Wanted {
  environment: Name
  version: string
  bake?: string
  migrate?: string
}

const both = 'up: [node, ./app/migrate.cjs, up], down: [node, /app/migrate.cjs, down]'
const onlyUp = 'up: [node, ./app/migrate.cjs, up]'

function start({ environment, version, bake = '0s', migrate = both }: Wanted): Promise<{ id: string; number: number }> {
  const pipeline = `steps:
  image:
    build_image:
      builder: pack
      repository: hello/app
      files: { app.cjs: /app/app.cjs, migrate.cjs: /app/migrate.cjs, version.txt: /app/version.txt }
      entrypoint: [node, /app/app.cjs, "${version}"]
  ship:
    deploy:
      environment: ${environment}
      health: { http: /healthz, interval: 100ms, unhealthy_after: 2, timeout: 5s }
      bake: { for: ${bake} }
${migrate === '' ? '' : `      migrate: { ${migrate} }\n`}`
  return scenario.start(pipeline, { files: { 'migrate.cjs': migrateProgram, 'version.txt': `${version}\n` } })
}

async function release(wanted: Wanted): Promise<RunDetail> {
  const run = await scenario.end((await start(wanted)).id)
  expect(run.status, run.reason).toBe('succeeded')
  expect(await served(wanted.environment)).toBe(wanted.version)
  return run
}

async function sicken(environment: Name, version: string): Promise<void> {
  await until('the new one serves', async () => (await served(environment)) === version)
  await fetch(`${scenario.system.edgeOf(environment)}/sicken`)
}

async function served(environment: Name): Promise<string> {
  const response = await fetch(`${scenario.system.edgeOf(environment)}/version`)
  return response.ok ? await response.text() : String(response.status)
}

const stored = (environment: Name): unknown => JSON.parse(readFileSync(`${data}/${environment}`, 'utf8'))
const log = (environment: Name): string[] =>
  existsSync(`${data}/${environment}.log`) ? readFileSync(`${data}/${environment}.log`, 'utf8').trim().split('\n') : []

async function phases(run: { id: string }): Promise<string[]> {
  const events = (await scenario.events(run.id)).map(({ body }) => body)
  return events.flatMap((body) => (body.type === 'deployment' && body.status === 'done' ? [body.phase] : []))
}

const numberOf = async (run: RunDetail): Promise<number> => {
  const { items } = await scenario.system.client.listReleases({ project: 'hello' })
  const found = items.find(({ runId }) => runId === run.id)
  if (found === undefined) throw new Error('the run made no release')
  return found.number
}

test('up runs while the old release serves; one that fails under traffic goes back first, and down runs afterwards with its image', async () => {
  const environment = 'production'
  await release({ environment, version: 'v1' })
  const two = await release({ environment, version: 'v2' })
  expect(log(environment)).toEqual(['up v1 while 503', 'up v2 while v1'])
  expect((await phases(two)).slice(0, 3)).toEqual(['migrate', 'stage', 'check'])

  const traffic = startTraffic(`${scenario.system.edgeOf(environment)}/version`, 30)
  try {
    const { id } = await start({ environment, version: 'v3', bake: '5m' })
    await sicken(environment, 'v3')
    const run = await scenario.end(id)
    expect(run.status, run.reason).toBe('rolled_back')
    expect(await served(environment)).toBe('v2')
    expect(log(environment).slice(2)).toEqual(['up v3 while v2', 'down v3 while v2'])
    expect(stored(environment)).toEqual(['v1', 'v2'])
    expect((await phases(run)).slice(-2)).toEqual(['undo', 'migrate_down'])
    expect((await traffic.stop()).failures).toEqual([])
  } finally {
    traffic.kill()
  }
})

test('an up that says no leaves the old release as it was, is taken down, and what it printed is told without its secrets', async () => {
  const environment = 'production'
  const before = log(environment).length
  const run = await scenario.end((await start({ environment, version: 'v4', migrate: both.replace('up]', 'up, fail]') })).id)
  expect(run.status, run.reason).toBe('rolled_back')
  const { status, reason } = loadStepRow(run, 'ship')
  expect({ status, reason }).toEqual({ status: 'failed', reason: expect.stringContaining('exited with code 3') as string })
  expect(reason).toContain('cannot: ***')
  expect(JSON.stringify(await scenario.events(run.id))).not.toContain(secret)
  expect(await phases(run)).not.toContain('stage')
  expect(log(environment).slice(before)).toEqual(['up v4 while v2', 'down v4 while v2'])
  expect(stored(environment)).toEqual(['v1', 'v2'])
  expect(await served(environment)).toBe('v2')
})

async function rollBack(environment: Name, to: number): Promise<void> {
  const { requestId } = await scenario.system.client.rollback(environment, { to: String(to) }, randomUUID())
  const ended = await until('the rollback ends', async () => {
    const { items } = await scenario.system.client.listDeployments(environment)
    return items.find((one) => one.requestId === requestId && one.status !== 'running')
  })
  expect(ended.status, ended.reason).toBe('deployed')
}

test("a person's rollback over several takes each down with its own image, the newest first; forward again applies them again", async () => {
  const environment = 'several'
  const one = await numberOf(await release({ environment, version: 's1' }))
  const two = await numberOf(await release({ environment, version: 's2' }))
  await release({ environment, version: 's3', migrate: '' })
  const four = await numberOf(await release({ environment, version: 's4' }))
  const before = log(environment).length
  const preview = await scenario.system.client.previewRollback(environment, { to: String(one) })
  expect(preview.migrations).toEqual([four, two].map((number) => `down of release ${String(number)}: node /app/migrate.cjs down`))
  await rollBack(environment, one)
  expect(await served(environment)).toBe('s1')
  expect(log(environment).slice(before)).toEqual(['down s4 while s1', 'down s2 while s1'])
  expect(stored(environment)).toEqual(['s1'])
  await rollBack(environment, four)
  expect(await served(environment)).toBe('s4')
  expect(log(environment).slice(before + 2)).toEqual(['up s2 while s1', 'up s4 while s1'])
  expect(stored(environment)).toEqual(['s1', 's2', 's4'])
})

async function blocked(version: string): Promise<RunDetail> {
  const environment = 'oneway'
  const { id } = await start({ environment, version, bake: '5m', migrate: onlyUp })
  await sicken(environment, version)
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rollback_blocked')
  // Nothing was rolled back blindly.
  expect(await served(environment)).toBe(version)
  const [undo] = run.undo
  expect(undo?.reason).toMatch(/the migration of release \d+ cannot be taken down/)
  return run
}

async function settle(run: RunDetail, action: 'retry' | 'skip'): Promise<RunDetail> {
  await scenario.system.client.settleUndo(run, { action, reason: 'looked at it' })
  return until('the run ends', async () => {
    const now = await scenario.system.client.getRun(run)
    return isEndedRun(now.status) ? now : undefined
  })
}

test('one that cannot be taken down parks and asks: a retry goes back and leaves it applied, a skip leaves all as it is', async () => {
  const environment = 'oneway'
  const first = await numberOf(await release({ environment, version: 'o1' }))

  const back = await settle(await blocked('o2'), 'retry')
  expect(back.status, back.reason).toBe('rolled_back')
  expect(await served(environment)).toBe('o1')
  expect(stored(environment)).toEqual(['o1', 'o2'])

  const run = await blocked('o3')
  const left = await settle(run, 'skip')
  expect(left.status).toBe('rollback_failed')
  expect(await served(environment)).toBe('o3')
  const { current } = await scenario.system.client.getEnvironment(environment)
  expect(current?.release.runId).toBe(run.id)

  const before = log(environment).length
  const to = { to: String(first) }
  const { client } = scenario.system
  const over = String(await numberOf(run))
  for (const ask of [() => client.rollback(environment, to, randomUUID()), () => client.previewRollback(environment, to)])
    await expect(ask()).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(`the migration of release ${over} cannot be taken down`) as string,
    })
  expect(await served(environment)).toBe('o3')
  expect(log(environment)).toHaveLength(before)
})

test('killed in the middle, keeper and deployer, it runs again and the release goes on', async () => {
  const environment = 'killed'
  await release({ environment, version: 'k1' })
  writeFileSync(`${data}/${environment}.hold`, '')
  const { id } = await start({ environment, version: 'k2' })
  await until('it migrates', () => log(environment).includes('up k2 while k1'))
  const { system } = scenario
  rmSync(`${data}/${environment}.hold`)
  system.kill('keeper')
  system.kill('main')
  const run = await until(
    'the run ends',
    async () => {
      const now = await system.client.getRun({ id }).catch(() => undefined) // The server is restarting.
      return now !== undefined && isEndedRun(now.status) ? now : undefined
    },
    120_000,
  )
  expect(run.status, run.reason).toBe('succeeded')
  expect(await served(environment)).toBe('k2')
  expect(log(environment).filter((line) => line.startsWith('up k2'))).toHaveLength(2)
  expect(stored(environment)).toEqual(['k1', 'k2'])
})

test('what serves is blocked and the next one fails: nothing serves, and the data stays as what was settled needs it', async () => {
  const environment = 'nothing'
  const one = await numberOf(await release({ environment, version: 'n1' }))
  await scenario.system.client.block(environment, { release: String(one), reason: 'leaks' }, randomUUID())
  const { id } = await start({ environment, version: 'n2', bake: '5m' })
  await sicken(environment, 'n2')
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rolled_back')
  expect(await served(environment)).toBe('503')
  expect(stored(environment)).toEqual(['n1'])
  expect(log(environment).at(-1)).toBe('down n2 while 503')
})

test('a release whose migration was taken down since is not gone back to by itself; a rollback applies it first', async () => {
  const environment = 'missing'
  const one = await numberOf(await release({ environment, version: 'm1' }))
  const two = await numberOf(await release({ environment, version: 'm2' }))
  await rollBack(environment, one)
  await scenario.system.client.block(environment, { release: String(one), reason: 'leaks' }, randomUUID())
  const { id } = await start({ environment, version: 'm3', bake: '5m', migrate: '' })
  await sicken(environment, 'm3')
  const run = await scenario.end(id)
  expect(run.status, run.reason).toBe('rollback_blocked')
  expect(run.undo[0]?.reason).toMatch(/serves on the migration of release \d+, which was taken down since/)
  expect(await served(environment)).toBe('m3')
  expect(stored(environment)).toEqual(['m1'])
  await rollBack(environment, two)
  expect(await served(environment)).toBe('m2')
  expect(stored(environment)).toEqual(['m1', 'm2'])
  expect((await settle(run, 'retry')).status).toBe('rolled_back')
})
