import type { Observation, Operation } from '../../contract/activities.ts'
import type { ReleaseRef } from '../../domain/release.ts'

/** A running instance of a release, as the deployer may probe it. */
export interface Instance {
  digest: string
  /** Unique, and never used again for another one. */
  id: string
  /** Base URL for health probes, straight to the instance and past the edge. */
  url: string
  /** False once its process has gone; `exit` says how, and `tail` what it last printed. */
  running: boolean
  exit?: string
  tail?: string
}

/** What the edge counted for one release since its activation. */
export interface Traffic {
  requests: number
  /** No answer, or a 5xx. */
  errors: number
}

export interface ReleaseCommand {
  /** Program and arguments, as they are in the image. */
  command: readonly string[]
  timeoutMs: number
}

/** How a command of a release ended. */
export interface CommandEnd {
  /** In words; absent: with exit code 0. */
  failure?: string | undefined
  /** What it printed last, at most 8 KiB, with whatever secrets it printed. */
  tail: string
}

/**
 * A mechanism that reaches an environment. Every changing call carries an operation (environment, fence, operation id):
 * the target compares and acts in one atomic step, answers a repeat of (fence, operation id) from its record, and throws
 * `BelayError` `stale` for a fence below the highest it has seen. It keeps that number on its own disk. Cannot be
 * reached: `unavailable`, retryable. All calls may be repeated at any time, also after a kill in their middle.
 */
export interface Target {
  readonly kind: string
  observe(environment: string): Promise<Observation>
  /**
   * Starts the release from its image, by digest, beside what serves; with `alone`, after traffic was taken off and everything
   * else was stopped. Returns when all its instances were started.
   */
  stage(operation: Operation, release: ReleaseRef, options: { alone: boolean }): Promise<void>
  /**
   * Runs a command with that release's image: where its application would run, as the same user, with the environment's variables,
   * and reached by nobody. Waits for its end; after `timeoutMs` it is stopped, which is a failure. Nothing that runs or serves is touched. A
   * repeat gets the end that is on record; one that was cut by a death in the middle runs again. A newer operation ends it. Absent: this target
   * cannot, and migrations are refused.
   */
  runCommand?(operation: Operation, release: ReleaseRef, command: ReleaseCommand): Promise<CommandEnd>
  /** The instances of that digest, as many as were asked for; none if it was never staged or has been retired. */
  listInstances(environment: string, digest: string): Promise<Instance[]>
  /** Switches traffic to the running instances of that digest; requests in flight end where they began. */
  activate(operation: Operation, digest: string): Promise<{ previousDigest?: string }>
  /** Drains, then stops every instance that traffic does not go to. */
  retire(operation: Operation): Promise<void>
  /** Takes traffic off and stops every instance. */
  clear(operation: Operation): Promise<void>
  traffic(environment: string, digest: string): Promise<Traffic>
  /** Has all edges listen, so that environments answer (503) before their first release. */
  openEdges(): Promise<void>
}
