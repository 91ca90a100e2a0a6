import { isIP } from 'node:net'
import { z } from 'zod'
import { defaults } from '../domain/defaults.ts'
import { Duration, ListenAddress, Size } from './scalars.ts'

/** Names that people choose; they end in URLs, file names and workflow ids. */
const name = /^[a-z0-9][a-z0-9_-]{0,62}$/
const Name = z.string().regex(name, { error: 'names are lower-case letters, digits, - and _, at most 63' })

/** Where a value lies. The value itself is never written in the file. */
const Reference = z.union([z.strictObject({ from_env: z.string().min(1) }), z.strictObject({ from_file: z.string().min(1) })], {
  error: 'expected a reference to a secret',
})

const Repository = z.string({ error: 'expected the URL of a Git repository' }).transform((text, context) => {
  const problem = judgeRepository(text)
  if (problem === undefined) return text
  context.addIssue({ code: 'custom', message: problem.message, params: { hint: problem.hint } })
  return z.NEVER
})

/** A URL may carry a password, so nothing of it is repeated. */
function judgeRepository(text: string): { message: string; hint: string } | undefined {
  const hint = 'Write https://…, ssh://git@host/path or file:///path.'
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['https:', 'http:', 'ssh:', 'file:'].includes(url.protocol)) {
    return { message: 'expected an https, http, ssh or file URL', hint }
  }
  if (url.password !== '' || (url.username !== '' && url.protocol !== 'ssh:')) {
    return { message: 'a URL must not carry credentials', hint: 'It is shown to people; leave user and password out.' }
  }
  if (url.protocol === 'file:' && url.host !== '')
    return { message: 'a file URL has no host', hint: 'Write three slashes: file:///path.' }
  return undefined
}

const PublicUrl = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' })

/** A token goes there, so nobody on the way may read it. */
const ApiUrl = z.string({ error: 'expected the URL of the API of the forge' }).superRefine((text, context) => {
  const hint = 'Write https://HOST/PATH; http is for a forge of this machine only.'
  const refuse = (message: string) => context.addIssue({ code: 'custom', message, params: { hint } })
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) refuse('expected the URL of the API of the forge')
  else if (url.username !== '' || url.password !== '') refuse('a URL must not carry credentials')
  else if (url.protocol === 'http:' && !isLoopback(url)) refuse('a forge on another machine must be reached by https')
})

function isLoopback({ hostname }: URL): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

const Project = z.strictObject({
  repository: Repository,
  forge: z.enum(['github', 'gitea', 'forgejo', 'generic']).default('github'),
  webhook_secret: z.union([Reference, z.array(Reference)], { error: 'expected a reference to a secret' }).optional(),
  status_token: Reference.optional(),
  api_url: ApiUrl.optional(),
  poll: Duration.optional(),
  isolation: z.enum(['process']).default('process'),
  environments: z.array(z.string()).default([]),
})

const Health = z.strictObject({
  http: z.string().startsWith('/', { error: 'expected a path that begins with /' }).default('/healthz'),
  interval: Duration.default(2000),
  healthy_after: z.int().min(1).max(100).default(1),
  unhealthy_after: z.int().min(1).max(100).default(3),
  timeout: Duration.default(60_000),
})

const variable = /^[A-Za-z_][A-Za-z0-9_]*$/
const EnvironmentValue = z.union([z.string(), z.strictObject({ from_secret: z.string() })], {
  error: 'expected text in quotes, or { from_secret: name }',
})

/** How the deployer reaches a container engine; neither: as its own DOCKER_HOST or the program `docker` says. */
const Engine = z.strictObject({
  context: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]*$/, { error: 'expected the name of a Docker context' })
    .optional(),
  host: z
    .string()
    .regex(/^(?:unix:\/\/\/[^\s]+|tcp:\/\/[^\s@/]+|ssh:\/\/[^\s:/]+(?::\d+)?)$/, {
      error: 'expected unix:///path, tcp://host:port or ssh://user@host, without a password',
    })
    .optional(),
  address: z
    .string()
    .refine((text) => isIP(text) !== 0, { error: 'expected an IP address' })
    .default('127.0.0.1'),
})

const Environment = z.strictObject({
  target: z.enum(['process', 'docker']),
  edge: z.strictObject({ driver: z.enum(['embedded', 'haproxy']).default('embedded'), listen: ListenAddress }),
  engine: Engine.optional(),
  instances: z.int().min(1).max(16).optional(),
  memory: Size.optional(),
  pids: z.int().min(16).max(100_000).optional(),
  health: Health.prefault({}),
  env: z.record(z.string().regex(variable, { error: 'not a name that a variable may have' }), EnvironmentValue).default({}),
})

const Secret = z.strictObject({
  provider: z.enum(['env']),
  name: z.string().regex(variable, { error: 'not a name that a variable may have' }),
  projects: z.array(z.string()),
  branches: z.array(z.string()).default([]),
})

/** Nothing of a URL that may carry a password is repeated. */
const RegistryUrl = z.string({ error: 'expected the URL of a registry' }).superRefine((text, context) => {
  const hint = 'Write https://HOST or https://HOST:PORT; http is for registries of this machine only.'
  const refuse = (message: string) => context.addIssue({ code: 'custom', message, params: { hint } })
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) refuse('expected the URL of a registry')
  else if (url.username !== '' || url.password !== '') refuse('a URL must not carry credentials')
  else if (url.pathname !== '/' || url.search !== '' || url.hash !== '') refuse('the URL of a registry has no path')
  else if (url.protocol === 'http:' && !isLoopback(url)) refuse('a registry on another machine must be reached by https')
})

const Registry = z.strictObject({ url: RegistryUrl, username: z.string().min(1).optional(), password: Reference.optional() })

/** Processes and threads of a step. */
export const StepPids = z.int().min(16).max(100_000)

/** What a run has left is needed for as long as its runner may come back to it. */
const KeepTime = Duration.refine((ms) => ms >= leastKeepMs, { error: 'expected at least 1d' })
const leastKeepMs = 24 * 60 * 60_000

const KeepTimes = z
  .strictObject({
    logs: KeepTime.default(defaults.keep.logsMs),
    runs: KeepTime.default(defaults.keep.runsMs),
    artifacts: KeepTime.default(defaults.keep.artifactsMs),
    deliveries: KeepTime.default(defaults.keep.deliveriesMs),
  })
  .superRefine((keep, context) => {
    for (const key of ['logs', 'artifacts'] as const) {
      if (keep[key] <= keep.runs) continue
      const hint = 'What belongs to a run goes with it: raise `runs`, or lower this one.'
      context.addIssue({ code: 'custom', path: [key], message: 'longer than runs are kept', params: { hint } })
    }
  })

const Keys = z.union([Reference, z.array(Reference).min(1)], { error: 'expected a reference to a key, or a list of them' })

/** `belay.config.yml` as it is written; what is absent gets its default here. */
export const ConfigFile = z.strictObject({
  data: z.string().min(1).optional(),
  listen: ListenAddress.default({ host: '127.0.0.1', port: 8080 }),
  public_url: PublicUrl.optional(),
  temporal: z.strictObject({ address: z.string().min(1), namespace: z.string().min(1).default('default') }).optional(),
  database: z.strictObject({ url: Reference }).optional(),
  projects: z.record(Name, Project),
  environments: z.record(Name, Environment).default({}),
  registries: z.record(Name, Registry).default({}),
  secrets: z.record(Name, Secret).default({}),
  runners: z
    .strictObject({
      slots: z.int().min(1).max(64).default(2),
      labels: z.array(z.string().min(1)).default([]),
      memory: Size.optional(),
      pids: StepPids.optional(),
    })
    .prefault({}),
  keep: KeepTimes.prefault({}),
  encryption: z.strictObject({ key: Keys }).optional(),
})
export type ConfigFile = z.infer<typeof ConfigFile>

/** The keys that each map of the file knows, by its pattern: for the hints. */
export const knownKeys: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(ConfigFile.shape),
  temporal: ['address', 'namespace'],
  runners: ['slots', 'labels', 'memory', 'pids'],
  database: ['url'],
  keep: Object.keys(KeepTimes.shape),
  encryption: ['key'],
  'registries.*': Object.keys(Registry.shape),
  'projects.*': Object.keys(Project.shape),
  'environments.*': Object.keys(Environment.shape),
  'environments.*.edge': ['driver', 'listen'],
  'environments.*.engine': Object.keys(Engine.shape),
  'environments.*.health': Object.keys(Health.shape),
  'secrets.*': Object.keys(Secret.shape),
}
