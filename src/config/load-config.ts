import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { BelayError, messageOf } from '../domain/errors.ts'
import type { EnvValue } from '../domain/plan.ts'
import { parsePayloadKeys } from '../payloads/payload-keys.ts'
import { configError, type ConfigProblem } from './config-problem.ts'
import { ConfigFile } from './config-schema.ts'
import type { Config, DockerConfig, EnvironmentConfig, ProjectConfig, RegistryConfig, SecretConfig } from './config.ts'
import { defaultConfig } from './default-config.ts'
import { explainIssue } from './explain-issue.ts'
import { checkReferences } from './references.ts'
import { resolveReferences, type ResolvedReferences } from './resolve-references.ts'
import { formatAddress } from './scalars.ts'
import { parseYaml, type PositionedYaml } from './yaml-positions.ts'

export const configFileName = 'belay.config.yml'

export interface LoadOptions {
  /** The file; default: `belay.config.yml` in `cwd`, and without one a working default for the repository there. */
  file?: string | undefined
  /** Data directory; wins over the file. */
  data?: string | undefined
  env: NodeJS.ProcessEnv
  cwd: string
}

export interface LoadedConfig {
  config: Config
  /** What was assumed because there is no file: sentences for people. Empty with a file. */
  assumptions: string[]
}

/**
 * The operator's configuration: parsed, checked, references resolved. Throws `invalid_config` with every problem at its
 * line and column, or with why there is nothing to go by. No message holds a value that came by reference.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const file = resolve(options.cwd, options.file ?? configFileName)
  const loaded =
    options.file === undefined && !existsSync(file)
      ? await defaultConfig(options.cwd)
      : { config: await loadFile(file, options.env), assumptions: [] }
  return { ...loaded, config: withOverrides(loaded.config, options) }
}

async function loadFile(file: string, env: NodeJS.ProcessEnv): Promise<Config> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new BelayError({
      code: 'invalid_config',
      message: `${file} cannot be read`,
      hint: 'Name another with --config.',
      cause: error,
    })
  })
  return parseConfig({ text, file, env })
}

/** The same, of a text; `file` gives names and relative paths their meaning. */
export async function parseConfig({ text, file, env }: { text: string; file: string; env: NodeJS.ProcessEnv }): Promise<Config> {
  const shown = basename(file)
  const yaml = parseYaml(text)
  if (Array.isArray(yaml)) throw configError(shown, yaml)
  const parsed = ConfigFile.safeParse(yaml.data)
  const resolved = await resolveReferences(yaml, { env, directory: dirname(file) })
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => explainIssue(issue, yaml))),
    ...checkReferences(yaml),
    ...resolved.problems,
    ...checkPayloadKeys(yaml, resolved),
  ]
  if (problems.length > 0 || !parsed.success) throw configError(shown, problems)
  return toConfig(parsed.data, file, resolved)
}

/** Said here, and not when the first run is encrypted. */
function checkPayloadKeys(yaml: PositionedYaml, references: ResolvedReferences): ConfigProblem[] {
  const path = ['encryption', 'key']
  try {
    parsePayloadKeys(references.at(...path))
    return []
  } catch (error) {
    const hint = error instanceof BelayError ? error.hint : undefined
    return [{ ...yaml.positionOf(path), path: path.join('.'), message: messageOf(error), hint }]
  }
}

function toConfig(written: ConfigFile, file: string, references: ResolvedReferences): Config {
  const { listen, keep } = written
  const [databaseUrl] = references.at('database', 'url')
  return {
    file,
    data: resolve(dirname(file), written.data ?? '.belay'),
    listen,
    publicUrl: (written.public_url ?? `http://${formatAddress(listen)}`).replace(/\/+$/, ''),
    ...(written.temporal === undefined ? {} : { temporal: written.temporal }),
    projects: mapValues(written.projects, (project, name): ProjectConfig => {
      const { repository, forge, isolation, environments, poll, api_url: apiUrl } = project
      const [statusToken] = references.at('projects', name, 'status_token')
      return {
        ...{ name, repository, forge, isolation, environments },
        webhookSecrets: references.at('projects', name, 'webhook_secret'),
        ...(statusToken === undefined ? {} : { statusToken }),
        ...(apiUrl === undefined ? {} : { apiUrl: apiUrl.replace(/\/+$/, '') }),
        ...(poll === undefined ? {} : { pollMs: poll }),
      }
    }),
    environments: mapValues(written.environments, (environment, name): EnvironmentConfig => {
      const { target, edge, health } = environment
      const { http, interval, timeout } = health
      return {
        name,
        target,
        edge: { driver: edge.driver, ...edge.listen },
        ...(target === 'docker' ? { docker: toDocker(environment) } : {}),
        health: {
          http,
          intervalMs: interval,
          timeoutMs: timeout,
          healthyAfter: health.healthy_after,
          unhealthyAfter: health.unhealthy_after,
        },
        env: mapValues(environment.env, toEnvValue),
      }
    }),
    secrets: mapValues(written.secrets, (secret, name): SecretConfig => {
      const { provider, projects, branches } = secret
      return { name, provider, reference: { name: secret.name }, projects, branches }
    }),
    runners: takeRunners(written.runners),
    keep: { logsMs: keep.logs, runsMs: keep.runs, artifactsMs: keep.artifacts, deliveriesMs: keep.deliveries },
    registries: mapValues(written.registries, ({ url, username }, name): RegistryConfig => {
      const [password] = references.at('registries', name, 'password')
      return {
        ...{ name, url: new URL(url).origin },
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password }),
      }
    }),
    ...(written.encryption === undefined ? {} : { payloadKeys: references.at('encryption', 'key') }),
    ...(databaseUrl === undefined ? {} : { database: { url: databaseUrl } }),
  }
}

const defaultPids = 512

function toDocker({ engine, instances = 1, memory, pids = defaultPids }: ConfigFile['environments'][string]): DockerConfig {
  const { context, host, address = '127.0.0.1' } = engine ?? {}
  return {
    engine: { address, ...(context === undefined ? {} : { context }), ...(host === undefined ? {} : { host }) },
    instances,
    pids,
    ...(memory === undefined ? {} : { memoryBytes: memory }),
  }
}

function toEnvValue(value: string | { from_secret: string }): EnvValue {
  return typeof value === 'string' ? { value } : { secret: value.from_secret }
}

function withOverrides(config: Config, { data, env, cwd }: LoadOptions): Config {
  const address = env['TEMPORAL_ADDRESS'] || config.temporal?.address
  const namespace = env['TEMPORAL_NAMESPACE'] || config.temporal?.namespace || 'default'
  return {
    ...config,
    ...(data === undefined ? {} : { data: resolve(cwd, data) }),
    ...(address === undefined ? {} : { temporal: { address, namespace } }),
  }
}

function mapValues<T, U>(record: Record<string, T>, map: (value: T, name: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]))
}

function takeRunners({ slots, labels, memory, pids }: ConfigFile['runners']): Config['runners'] {
  return { slots, labels, ...(memory === undefined ? {} : { memoryBytes: memory }), ...(pids === undefined ? {} : { pids }) }
}
