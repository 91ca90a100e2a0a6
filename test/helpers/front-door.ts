/** A front door on a store of its own: real files, real SQLite, a Temporal address where nobody answers unless one is given. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { pino, type Logger } from 'pino'
import { createClient, type Client } from '../../src/api/client.ts'
import type { Config, ProjectConfig } from '../../src/config/config.ts'
import type { Plan } from '../../src/domain/plan.ts'
import type { RunEvent, StepChange } from '../../src/domain/run-event.ts'
import { findFreePort } from '../../src/process/free-port.ts'
import { createApp } from '../../src/server/app.ts'
import { createOrchestrator, type Orchestrator } from '../../src/server/orchestrator.ts'
import { openStore } from '../../src/store/open-store.ts'
import type { Role, Run, Store } from '../../src/store/store.ts'

export const hookSecret = 'the hook secret of the tests'
export const planDigest = `sha256:${'ab'.repeat(32)}`

type AuditEntry = Awaited<ReturnType<Store['audit']['list']>>['items'][number]

export interface FrontDoor {
  directory: string
  config: Config
  store: Store
  orchestrator: Orchestrator
  app: FastifyInstance
  log: Logger
  /** All that was logged, as text. */
  logged(): string
  token(role: Role, name?: string): Promise<string>
  /** The audit, newest first, without the tokens that `token` made. */
  audited(): Promise<AuditEntry[]>
  /** Listens on a free port of 127.0.0.1 and gives the URL. */
  listen(): Promise<string>
  client(role?: Role): Promise<Client>
  close(): Promise<void>
}

export async function openFrontDoor(options: { config?: Partial<Config>; temporal?: string } = {}): Promise<FrontDoor> {
  const directory = await mkdtemp(join(tmpdir(), 'belay-front-door-'))
  const store = await openStore({
    database: join(directory, 'belay.db'),
    blobs: join(directory, 'blobs'),
    logs: join(directory, 'logs'),
  })
  const config = makeConfig(directory, options.config)
  const address = options.temporal ?? `127.0.0.1:${String(await findFreePort())}`
  const orchestrator = createOrchestrator({ address, namespace: 'default', storeId: store.id })
  const { log, logged } = createMemoryLog()
  const app = createApp({ config, store, orchestrator, log })
  let url: string | undefined
  const door: FrontDoor = {
    directory,
    config,
    store,
    orchestrator,
    app,
    log,
    logged,
    token: (role, name = role) => store.tokens.create({ name, role }),
    audited: async () => (await store.audit.list({})).items.filter(({ actor }) => actor !== 'belay'),
    async listen() {
      url ??= await app.listen({ host: '127.0.0.1', port: 0 })
      return url
    },
    client: async (role = 'admin') => createClient({ url: await door.listen(), token: await door.token(role) }),
    async close() {
      await app.close()
      await orchestrator.close()
      await store.close()
      await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  return door
}

export function makeProject(changes: Partial<ProjectConfig> = {}): ProjectConfig {
  return {
    name: 'shop',
    repository: 'https://git.example/acme/shop.git',
    forge: 'github',
    webhookSecrets: [hookSecret],
    isolation: 'process',
    environments: ['staging'],
    ...changes,
  }
}

function makeConfig(data: string, changes: Partial<Config> = {}): Config {
  const health = { http: '/healthz', intervalMs: 1000, healthyAfter: 1, unhealthyAfter: 3, timeoutMs: 60_000 }
  return {
    data,
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'http://belay.example',
    projects: { shop: makeProject() },
    environments: {
      staging: {
        name: 'staging',
        target: 'process',
        edge: { driver: 'embedded', host: '127.0.0.1', port: 9080 },
        health,
        env: {},
      },
    },
    secrets: {},
    runners: { slots: 1, labels: [] },
    registries: {},
    ...changes,
  }
}

export function createMemoryLog(): { log: Logger; logged: () => string } {
  const lines: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString('utf8'))
      done()
    },
  })
  return { log: pino({ level: 'debug' }, stream), logged: () => lines.join('') }
}

/** A run with a plan of one step `build` (tried again once if it fails) and a `finally` step `tell`. */
export async function startPlannedRun(store: Store, changes: Partial<Run['trigger']> = {}): Promise<Run> {
  const trigger: Run['trigger'] = {
    event: 'manual',
    source: 'api',
    ref: 'refs/heads/main',
    branch: 'main',
    sha: '1'.repeat(40),
    actor: { id: 'token:ana', name: 'ana' },
    title: 'a commit',
    ...changes,
  }
  const run = await store.runs.start({ project: 'shop', trigger, key: `test/${String(Math.random())}` })
  await store.runs.savePlan({ runId: run.id, plan: makePlan(), planDigest })
  return run
}

export function makePlan(): Plan {
  const commands = { lines: ['true'], shell: 'sh' as const, workingDirectory: '.' }
  const step = {
    id: 'build',
    kind: 'commands' as const,
    needs: [],
    env: { NPM_TOKEN: { secret: 'npm_token' }, PLAIN: { value: 'plain' } },
    timeoutMs: 60_000,
    retry: { max: 1, on: ['failed' as const], exitCodes: [], backoffMs: 0 },
    commands,
    segment: 0,
  }
  return {
    rules: 2,
    pipeline: 'release',
    file: '.belay.yml',
    timeoutMs: 60_000,
    steps: [step],
    segments: [{ id: 0, steps: ['build'] }],
    finally: [{ id: 'tell', statuses: [], commands, env: {}, timeoutMs: 1000 }],
  }
}

/** News of control about a step. */
export function stepEvent(n: number, change: Partial<StepChange>): RunEvent {
  return {
    source: 'run',
    epoch: 1,
    n,
    at: 1_000 + n,
    body: { type: 'step', change: { step: 'build', attempt: 1, epoch: 1, status: 'running', ...change } },
  }
}
