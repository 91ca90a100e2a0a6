// Long because its tables hold every mistake that the file can have.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BelayError } from '../domain/errors.ts'
import { loadConfig, parseConfig } from './load-config.ts'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-config-'))
  await writeFile(join(directory, 'secret'), 'from the file\n')
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

const day = 86_400_000

const whole = `
data: state
listen: 127.0.0.1:8081
public_url: https://belay.example/
temporal: { address: 127.0.0.1:7233 }
projects:
  shop:
    repository: https://git.example/acme/shop.git
    forge: github
    webhook_secret: [{ from_env: NEW }, { from_file: secret }]
    poll: 1m
    isolation: process
    environments: [staging]
environments:
  staging:
    target: process
    edge: { listen: 127.0.0.1:9080 }
    health: { http: /up, interval: 250ms, healthy_after: 2 }
    env: { MODE: test, DATABASE_URL: { from_secret: staging_db } }
secrets:
  staging_db: { provider: env, name: STAGING_DB, projects: [shop], branches: [main] }
runners: { slots: 3, labels: [linux], memory: 2G, pids: 1024 }
keep: { logs: 14d, artifacts: 2d }
`

function parse(text: string, env: NodeJS.ProcessEnv = { NEW: 'from the environment' }) {
  return parseConfig({ text, file: join(directory, 'belay.config.yml'), env })
}

async function problemsOf(text: string): Promise<string> {
  const error: unknown = await parse(text).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof BelayError)) throw new Error('expected a BelayError')
  expect(error.code).toBe('invalid_config')
  return error.message
}

test('reads a whole file: references resolved, durations in ms, paths absolute', async () => {
  expect(await parse(whole)).toEqual({
    file: join(directory, 'belay.config.yml'),
    data: join(directory, 'state'),
    listen: { host: '127.0.0.1', port: 8081 },
    publicUrl: 'https://belay.example',
    temporal: { address: '127.0.0.1:7233', namespace: 'default' },
    projects: {
      shop: {
        name: 'shop',
        repository: 'https://git.example/acme/shop.git',
        forge: 'github',
        webhookSecrets: ['from the environment', 'from the file'],
        pollMs: 60_000,
        isolation: 'process',
        environments: ['staging'],
      },
    },
    environments: {
      staging: {
        name: 'staging',
        target: 'process',
        edge: { driver: 'embedded', host: '127.0.0.1', port: 9080 },
        health: { http: '/up', intervalMs: 250, healthyAfter: 2, unhealthyAfter: 3, timeoutMs: 60_000 },
        env: { MODE: { value: 'test' }, DATABASE_URL: { secret: 'staging_db' } },
      },
    },
    secrets: {
      staging_db: {
        name: 'staging_db',
        provider: 'env',
        reference: { name: 'STAGING_DB' },
        projects: ['shop'],
        branches: ['main'],
      },
    },
    runners: { slots: 3, labels: ['linux'], memoryBytes: 2 * 1024 ** 3, pids: 1024 },
    keep: { logsMs: 14 * day, runsMs: 365 * day, artifactsMs: 2 * day, deliveriesMs: 90 * day },
    registries: {},
  })
})

test('reads registries, statuses and a database, their secrets by reference', async () => {
  const config = await parse(`
projects:
  shop: { repository: https://git.example/acme/shop.git, status_token: { from_env: NEW }, api_url: https://git.example/api/v3/ }
registries:
  main: { url: https://registry.example/, username: ci, password: { from_env: NEW } }
database: { url: { from_env: NEW } }
`)
  expect(config).toMatchObject({
    database: { url: 'from the environment' },
    projects: { shop: { statusToken: 'from the environment', apiUrl: 'https://git.example/api/v3' } },
    registries: { main: { name: 'main', url: 'https://registry.example', username: 'ci', password: 'from the environment' } },
  })
})

test('reads an environment of containers: sizes in bytes, where its engine is, and defaults', async () => {
  const edge = '{ driver: haproxy, listen: 127.0.0.1:9081 }'
  const config = await parse(`
projects: { shop: { repository: "file:///srv/shop", forge: gitea } }
environments:
  eu: { target: docker, edge: ${edge}, engine: { host: ssh://deploy@eu.example, address: 10.0.0.5 }, instances: 2, memory: 512M, pids: 100 }
  us: { target: docker, edge: { listen: 127.0.0.1:9082 } }
`)
  expect(config.environments).toMatchObject({
    eu: {
      edge: { driver: 'haproxy', host: '127.0.0.1', port: 9081 },
      docker: {
        engine: { host: 'ssh://deploy@eu.example', address: '10.0.0.5' },
        ...{ instances: 2, memoryBytes: 512 * 1024 ** 2, pids: 100 },
      },
    },
    us: { docker: { engine: { address: '127.0.0.1' }, instances: 1, pids: 512 } },
  })
  expect(config.environments['us']?.docker?.memoryBytes).toBeUndefined()
})

test('fills in what a short file leaves out', async () => {
  const config = await parse('projects: { shop: { repository: "file:///srv/shop" } }')
  expect(config).toMatchObject({
    data: join(directory, '.belay'),
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'http://127.0.0.1:8080',
    projects: { shop: { forge: 'github', isolation: 'process', webhookSecrets: [], environments: [] } },
    runners: { slots: 2, labels: [] },
    keep: { logsMs: 90 * day, runsMs: 365 * day, artifactsMs: 30 * day, deliveriesMs: 90 * day },
  })
  expect(config.temporal).toBeUndefined()
  expect(config.projects['shop']?.pollMs).toBeUndefined()
})

const shop = 'projects:\n  shop:\n    repository: https://git.example/shop.git\n'
const docker = 'environments:\n  staging:\n    target: docker\n    edge: { listen: 127.0.0.1:9080 }\n'
const staging = 'environments:\n  staging:\n    target: process\n    edge: { listen: 127.0.0.1:9080 }\n'

describe('says where and what is wrong', () => {
  test.each([
    ['an empty file', '', ['1:1: is empty']],
    ['a list at the root', '- a', ['1:1: expected a map']],
    ['no projects', 'listen: 127.0.0.1:1', ['1:1: projects: missing']],
    ['an unknown key', `${shop}lisen: 127.0.0.1:1`, ['4:1: lisen: unknown key', 'Did you mean "listen"?']],
    [
      'an unknown key of a project',
      `${shop}    webhook_secrt: 1`,
      ['4:5: projects.shop.webhook_secrt: unknown key', '"webhook_secret"'],
    ],
    [
      'a word that is near nothing',
      `${shop}    zzzzzz: 1`,
      ['4:5: projects.shop.zzzzzz: unknown key', 'Known here: repository, forge'],
    ],
    ['a key to come', `${shop}blobs: { s3: { bucket: belay } }`, ['4:1: blobs: not yet']],
    ['a key to come in a project', `${shop}    fetch: {}`, ['4:5: projects.shop.fetch: not yet']],
    [
      'what only containers have, for processes',
      `${shop}${staging}    memory: 1G`,
      ['8:5: environments.staging.memory: not yet for the target process', 'by the target docker'],
    ],
    [
      'an edge that nobody knows',
      shop + staging.replace('{ listen', '{ driver: haprxy, listen'),
      ['7:21: environments.staging.edge.driver: expected embedded, haproxy', 'Did you mean "haproxy"?'],
    ],
    [
      'an engine named twice',
      `${shop}${docker}    engine: { context: eu, host: "tcp://127.0.0.1:2375" }`,
      ['8:13: environments.staging.engine: name a context or a host, not both'],
    ],
    [
      'an engine with a password',
      `${shop}${docker}    engine: { host: "ssh://me:hunter2@host" }`,
      ['8:21: environments.staging.engine.host: expected unix:///path'],
    ],
    ['memory without unit', `${shop}${docker}    memory: "512"`, ['8:13: environments.staging.memory: expected a size', '512M']],
    [
      'too little memory',
      `${shop}${docker}    memory: 1M`,
      ['8:13: environments.staging.memory: expected a size', 'at least 6M'],
    ],
    [
      'a registry elsewhere that is not reached by https',
      `${shop}registries: { main: { url: "http://registry.example" } }`,
      ['4:28: registries.main.url: a registry on another machine must be reached by https'],
    ],
    [
      'a URL of a registry that holds a password',
      `${shop}registries: { main: { url: "https://a:b@registry.example" } }`,
      ['4:28: registries.main.url: a URL must not carry credentials'],
    ],
    [
      'a registry with half of its credentials',
      `${shop}registries: { main: { url: "https://registry.example", username: ci } }`,
      ['4:21: registries.main: password is missing'],
    ],
    [
      'the URL of a database written down',
      `${shop}database: { url: "postgresql://belay:x@127.0.0.1/belay" }`,
      ['4:18: database.url: expected a reference to a secret'],
    ],
    ['a forge to come', `${shop}    forge: gitlab`, ['4:12: projects.shop.forge: not yet', 'it knows github, gitea']],
    [
      'an API elsewhere that is not reached by https',
      `${shop}    status_token: { from_env: NEW }\n    api_url: http://git.example/api`,
      ['5:14: projects.shop.api_url: a forge on another machine must be reached by https'],
    ],
    [
      'an API whose URL holds a password',
      `${shop}    status_token: { from_env: NEW }\n    api_url: https://a:b@git.example/api`,
      ['5:14: projects.shop.api_url: a URL must not carry credentials'],
    ],
    [
      'an API that nobody is told through',
      `${shop}    api_url: https://git.example/api`,
      ['4:5: projects.shop.api_url: there is no status_token'],
    ],
    [
      'statuses for a repository that no forge has',
      'projects: { shop: { repository: "file:///srv/shop", status_token: { from_env: NEW } } }',
      ['1:53: projects.shop.status_token: statuses need a repository with a host'],
    ],
    [
      'statuses for a forge that takes none',
      `${shop}    forge: generic\n    status_token: { from_env: NEW }`,
      ['5:5: projects.shop.status_token: the forge generic takes no commit statuses'],
    ],
    [
      'a forge misspelt',
      `${shop}    forge: gihub`,
      ['4:12: projects.shop.forge: expected github, gitea', 'Did you mean "github"?'],
    ],
    ['isolation to come', `${shop}    isolation: container`, ['4:16: projects.shop.isolation: not yet']],
    ['a target to come', shop + staging.replace('process', 'kubernetes'), ['6:13: environments.staging.target: not yet']],
    ['no target', shop + staging.replace('    target: process\n', ''), ['5:3: environments.staging.target: missing']],
    ['a duration without unit', `${shop}    poll: 60`, ['4:11: projects.shop.poll: expected a duration']],
    [
      'a duration of a strange unit',
      `${shop}    poll: 1 minute`,
      ['4:11: projects.shop.poll: expected a duration', 'Write 250ms, 30s'],
    ],
    ['an address without port', `${shop}listen: localhost`, ['4:9: listen: expected host:port', '127.0.0.1:8080']],
    ['a port out of range', `${shop}listen: 127.0.0.1:99999`, ['4:9: listen: expected host:port']],
    [
      'a repository that is a path',
      'projects: { shop: { repository: ../shop } }',
      ['1:33: projects.shop.repository: expected an https'],
    ],
    [
      'a project name with a capital',
      'projects: { Shop: { repository: "file:///s" } }',
      ['1:13: projects.Shop: names are lower-case'],
    ],
    [
      'an environment that is not there',
      `${shop}    environments: [stagin]\n${staging}`,
      ['4:20: projects.shop.environments.0: there is no environment "stagin"', '"staging"'],
    ],
    [
      'a secret that is not there',
      `${shop}${staging}    env: { A: { from_secret: db } }`,
      ['8:30: environments.staging.env.A.from_secret: there is no secret "db"'],
    ],
    [
      'a project that is not there',
      `${shop}secrets:\n  db: { provider: env, name: DB, projects: [shap] }`,
      ['5:45: secrets.db.projects.0: there is no project "shap"', '"shop"'],
    ],
    [
      'PORT for an application',
      `${shop}${staging}    env: { PORT: "1" }`,
      ['8:12: environments.staging.env.PORT: PORT is not yours to set'],
    ],
    [
      'a number as a variable',
      `${shop}${staging}    env: { A: 1 }`,
      ['8:15: environments.staging.env.A: expected text in quotes'],
    ],
    [
      'two at one address',
      `${shop}listen: 127.0.0.1:9080\n${staging}`,
      ['8:21: environments.staging.edge.listen: listen listens at the same address'],
    ],
    [
      'a variable that is not set',
      `${shop}    webhook_secret: { from_env: NOWHERE }`,
      ['4:21: projects.shop.webhook_secret: the variable NOWHERE is not set'],
    ],
    [
      'a file that is not there',
      `${shop}    webhook_secret:\n      - { from_file: nowhere }`,
      ['5:9: projects.shop.webhook_secret.0: the file', 'cannot be read (ENOENT)'],
    ],
    ['what is kept for less than a day', `${shop}keep: { logs: 23h }`, ['4:15: keep.logs: expected at least 1d']],
    [
      'logs kept for longer than runs',
      `${shop}keep: { runs: 60d }`,
      ['keep.logs: longer than runs are kept', 'raise `runs`, or lower this one'],
    ],
    [
      'a payload key that is none',
      `${shop}encryption: { key: [{ from_file: secret }] }`,
      ['4:20: encryption.key: key 1 of the payload keys is not 32 bytes', 'openssl rand -base64 32'],
    ],
    ['slots below one', `${shop}runners: { slots: 0 }`, ['4:19: runners.slots: ']],
    ['a step of too few processes', `${shop}runners: { pids: 4 }`, ['4:18: runners.pids: ']],
    ['memory without a unit', `${shop}runners: { memory: 2048 }`, ['4:20: runners.memory: ']],
    ['a key written twice', `${shop}${shop}`, ['4:1: Map keys must be unique', 'merge the two']],
    ['tabs', 'projects:\n\tshop: {}', ['2:1: ', 'Indent with spaces']],
    ['a bomb of aliases', `a: &a [x,x,x,x,x,x,x,x,x,x]\n${bomb()}`, ['1:1: ']],
  ])('%s', async (_, text, expected) => {
    const problems = await problemsOf(text)
    for (const part of expected)
      expect(problems).toContain(part.includes(': ') && /^\d/.test(part) ? `belay.config.yml:${part}` : part)
  })

  function bomb(): string {
    const names = 'abcdefgh'
    return [...names.slice(1)].map((name, index) => `${name}: &${name} [${`*${names[index] ?? ''},`.repeat(10)}]`).join('\n')
  }

  test('all problems are told at once, in the order of the file', async () => {
    const problems = await problemsOf(
      `${shop}    forge: gitlab\n    polls: 1m\nlisten: x\nsecrets: { db: { provider: env, projects: [shop] } }`,
    )
    const places = problems.split('\n').flatMap((line) => /yml:(\d+:\d+)/.exec(line)?.[1] ?? [])
    expect(places).toEqual(['4:12', '5:5', '6:9', '7:12'])
  })
})

describe('never repeats what may be a secret', () => {
  test.each([
    ['a secret written into the file', `${shop}    webhook_secret: hunter2`],
    ['a secret under a wrong reference', `${shop}    webhook_secret: { from_en: hunter2 }`],
    ['a password in a URL', 'projects: { shop: { repository: "https://me:hunter2@git.example/s.git" } }'],
    ['a password in a broken URL', 'projects: { shop: { repository: "me:hunter2@git.example/s.git" } }'],
    ['a number for a secret', `${shop}    webhook_secret: [1234567]`],
  ])('%s', async (_, text) => {
    const problems = await problemsOf(text)
    expect(problems).not.toMatch(/hunter2|1234567/)
  })
})

describe('where it comes from', () => {
  test('TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE win over the file, --data too', async () => {
    const file = join(directory, 'own.yml')
    await writeFile(file, 'projects: { shop: { repository: "file:///s" } }\ntemporal: { address: "a:1" }')
    const env = { TEMPORAL_ADDRESS: 'b:2', TEMPORAL_NAMESPACE: 'n' }
    const { config, assumptions } = await loadConfig({ file: 'own.yml', data: 'elsewhere', env, cwd: directory })
    expect(config).toMatchObject({ file, data: join(directory, 'elsewhere'), temporal: { address: 'b:2', namespace: 'n' } })
    expect(assumptions).toEqual([])
  })

  test('a file that was named and is not there is an error', async () => {
    await expect(loadConfig({ file: 'nowhere.yml', env: {}, cwd: directory })).rejects.toMatchObject({ code: 'invalid_config' })
  })

  test('without a file, a Git repository is a project with the environments it deploys to', async () => {
    const root = join(directory, 'My Shop')
    await mkdir(join(root, '.git'), { recursive: true })
    await mkdir(join(root, 'src'))
    await writeFile(
      join(root, '.belay.yml'),
      'steps:\n  a: { deploy: { environment: staging } }\n  b:\n    deploy: { environments: [eu, "us"] }\n',
    )
    const { config, assumptions } = await loadConfig({ env: {}, cwd: join(root, 'src') })
    expect(config.projects['my-shop']).toMatchObject({
      repository: pathToFileURL(root).href,
      pollMs: 5000,
      webhookSecrets: [],
      environments: ['staging', 'eu', 'us'],
    })
    expect(Object.values(config.environments).map(({ name, edge }) => [name, edge.port])).toEqual([
      ['staging', 9080],
      ['eu', 9081],
      ['us', 9082],
    ])
    expect(config.data).toBe(join(root, '.belay'))
    expect(assumptions.join('\n')).toContain('project "my-shop" is the Git repository')
  })

  test('without a file and without a repository it says what to do', async () => {
    await expect(loadConfig({ env: {}, cwd: directory })).rejects.toThrow('is not in a Git repository')
  })
})
