import type { Config } from '../../config/config.ts'
import type { Io } from '../io.ts'

/** What one look at this machine found. */
export interface Finding {
  name: string
  /** `note`: nothing is missing, and it is worth knowing. */
  state: 'good' | 'bad' | 'note'
  detail: string
  /** How to mend it; of a bad one, always. */
  mend?: string
}

export interface Machine {
  io: Io
  /** Absent if it could not be loaded. */
  config?: Config
  /** Set if an `up` runs on this data directory: then its ports are taken, and rightly. */
  upIsRunning: boolean
}

export type Check = (machine: Machine) => Promise<Finding[]>
