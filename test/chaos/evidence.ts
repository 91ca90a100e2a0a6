/**
 * What a chaos run is judged by: the world it ran in, and the ledger of what was done to it. The driver writes the ledger
 * down as it goes and heals the world at the end; the checker reads both, with everything the world remembers.
 */
import type { Client } from '../../src/api/client.ts'
import type { Store } from '../../src/store/store.ts'
import type { ForgeDouble } from '../helpers/forge-double.ts'
import type { RunningRegistry } from '../helpers/registry.ts'

export interface World {
  /** Everything of this world lies below it. */
  directory: string
  store: Store
  client: Client
  temporal: { address: string; namespace: string }
  project: string
  /**
   * For looking past the store's own port and the keeper's: the database and the logs as the servers open them, the keeper's
   * directory, with its `state.json`.
   */
  places: { database: string | { url: string }; logs: string; keeper: string }
  /** The world's own mounts below its directory: small disks. */
  mounts: string[]
  /** Steps append to `<notes>/effects`, and migrations to `<notes>/migrations`: see `effects.ts` and `schemas.ts`. */
  notes: string
  forge: ForgeDouble
  registry: RunningRegistry
  /** Where its edge answers. Its application tells its variables, as that of test/helpers does: GET /env?name=NAME. */
  environments: { name: string; url: string }[]
  runners: { name: string; data: string; workspaces: string }[]
  /** Plain values of secrets that steps were given and tried to print. */
  canaries: string[]
  /** The processes of Belay and of its far side that live now, by part. */
  processes(): { part: string; pid: number }[]
  /** The TCP ports that a part may listen on; one that is not named chooses its own, as Temporal does. */
  ports: Readonly<Record<string, readonly number[]>>
  /** What each part has printed, in all its lives. */
  printed(): { part: string; text: string }[]
}

/** One signed post of a push, whatever became of it. */
export interface Post {
  at: number
  deliveryId: string
  branch: string
  sha: string
  /** Names of the pipelines that match this push; none: exactly one run, `skipped`. */
  pipelines: string[]
  /** Absent: no answer came. 200 and 202 name the run. */
  status?: number
  runId?: string
}

export interface Fault {
  at: number
  /** E.g. `kill runner-a`, `stop control-a`, `point dispatcher.acknowledge`, `wire registry 500`, `terminate run`. */
  name: string
  /** The id of the workflow it was done to, e.g. `run/UUID` or `environment/NAME`: only for what ends one. */
  about?: string
  /** When the faulty thing was whole again. */
  healedAt?: number
  /** When a run or an environment was next seen to move, after healing began; for the table of recovery times. */
  progressAt?: number
}

/** What a person asked for and was answered 2xx. */
export interface Request {
  at: number
  /** `retry` and `skip` are of an undo that is blocked; `resume` has an ended run go on. */
  kind: 'cancel' | 'rollback' | 'retry' | 'skip' | 'deploy' | 'resume' | 'freeze' | 'unfreeze' | 'block' | 'unblock'
  runId?: string
  environment?: string
  /** Of `resume`: the step that is done again in any case. */
  from?: string
  /** Of `block` and `unblock`: the id of the release. */
  release?: string
}

export interface Ledger {
  seed: number
  commit: string
  startedAt: number
  /** From then on nothing was broken any more. */
  healedAt?: number
  posts: Post[]
  requests: Request[]
  /** Asked for as well, and no answer came: they may have been carried out. */
  unanswered: Request[]
  faults: Fault[]
}

/** One broken promise: which, about what, and the facts. */
export interface Violation {
  /** `I1` … `I8`. */
  invariant: string
  about: string
  facts: string
}

export interface Verdict {
  violations: Violation[]
  /** How much was looked at, by invariant (`I4`) and by part of one (`I4 undos`): a check that looked at nothing proves nothing. */
  looked: Record<string, number>
  /** Runs and deliveries in all, runs by end, deployments by kind and status, effects by kind. */
  counts: Record<string, number>
}
