import type { Keep } from '../domain/keep.ts'
import type { EnvValue, HealthCheck } from '../domain/plan.ts'

/** The operator's configuration, parsed once: references resolved, durations in ms, paths absolute. */
export interface Config {
  /** The file it came from; absent: the working default for a repository. */
  file?: string
  /** Data directory, 0700. */
  data: string
  listen: { host: string; port: number }
  publicUrl: string
  /** Absent: the embedded development server. */
  temporal?: { address: string; namespace: string }
  projects: Readonly<Record<string, ProjectConfig>>
  environments: Readonly<Record<string, EnvironmentConfig>>
  secrets: Readonly<Record<string, SecretConfig>>
  /** `memoryBytes`, `pids`: of each step; absent: no limit. */
  runners: { slots: number; labels: string[]; memoryBytes?: number; pids?: number }
  registries: Readonly<Record<string, RegistryConfig>>
  /** How long what is kept; absent: `defaults.keep`. */
  keep?: Keep
  /** Keys of what goes through Temporal, as `parsePayloadKeys` takes them; absent: it is not encrypted. Held in memory only. */
  payloadKeys?: readonly string[]
  /** PostgreSQL; absent: SQLite in the data directory. Held in memory only: it may carry a password. */
  database?: { url: string }
}

export interface RegistryConfig {
  name: string
  /** https, or http for a loopback host. */
  url: string
  username?: string
  /** Held in memory only. */
  password?: string
}

export interface ProjectConfig {
  name: string
  /** https, http, ssh or file URL. */
  repository: string
  forge: 'github' | 'gitea' | 'forgejo' | 'generic'
  /** Any of these may have signed; empty: every hook is refused. Held in memory only. */
  webhookSecrets: readonly string[]
  /** For commit statuses; absent: the forge is told nothing. Held in memory only. */
  statusToken?: string
  /** Base URL of the forge's API; absent: by the repository's host. */
  apiUrl?: string
  /** Absent: no polling. */
  pollMs?: number
  isolation: 'process'
  /** Environments its pipelines may deploy to. */
  environments: readonly string[]
}

export interface EnvironmentConfig {
  name: string
  target: 'process' | 'docker'
  edge: { driver: 'embedded' | 'haproxy'; host: string; port: number }
  /** Present if and only if the target is `docker`. */
  docker?: DockerConfig
  health: HealthCheck
  env: Readonly<Record<string, EnvValue>>
}

export interface DockerConfig {
  /** A context of the program `docker`, or a host (unix, tcp or ssh); neither: what DOCKER_HOST or the program says. */
  engine: {
    context?: string
    host?: string
    /** IP address at which the ports that the engine publishes are reached. */
    address: string
  }
  /** How many containers serve a release, 1 to 16. */
  instances: number
  /** Of each container; absent: no limit. */
  memoryBytes?: number
  /** Processes and threads of each container. */
  pids: number
}

export interface SecretConfig {
  name: string
  provider: 'env'
  /** What the provider looks up, e.g. `{ name: NPM_TOKEN }`. */
  reference: Readonly<Record<string, string>>
  /** Projects and branches that may use it; empty branches: all. */
  projects: readonly string[]
  branches: readonly string[]
}
