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
  runners: { slots: number; labels: string[] }
  registries: Readonly<Record<string, RegistryConfig>>
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
  forge: 'github'
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
  target: 'process'
  edge: { host: string; port: number }
  health: HealthCheck
  env: Readonly<Record<string, EnvValue>>
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
