/** What `up` tells its children, over stdin: it may hold secrets, so neither argv nor the environment would do. */
import type { Config } from '../../config/config.ts'
import type { Places } from '../../config/places.ts'

export interface TemporalAt {
  address: string
  namespace: string
}

export interface MainInput {
  config: Config
  places: Places
  temporal: TemporalAt
  /** File in which it says that it is ready. */
  ready: string
}

export interface RunnerInput {
  name: string
  slots: number
  labels: string[]
  serverUrl: string
  publicUrl: string
  token: string
  payloadKeys?: readonly string[]
  temporal: TemporalAt
  places: Pick<Places, 'runner' | 'workspaces' | 'images'>
  /** PATH of the steps. */
  path: string
  user?: { uid: number; gid: number }
  graceMs: number
  /** Of each step. */
  limits: { memoryBytes?: number; pids?: number }
  ready: string
}

export interface KeeperInput {
  directory: string
  apps: string
}
