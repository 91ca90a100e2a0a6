import type { Operation } from '../../contract/activities.ts'
import type { Upstream } from '../edges/edge.ts'
import type { Traffic } from './target.ts'

/** What the keeper says of an environment whose instances are not its own. */
export interface EdgeView {
  /** The highest fencing number it has seen. */
  fence: number
  /** Digest of the release that traffic goes to; absent: none. */
  active?: string
  upstreams: readonly Upstream[]
  /** By digest, since its activation. */
  traffic: Readonly<Record<string, Traffic>>
}

/**
 * The edges of environments whose instances run elsewhere, in containers for one: owned by the keeper, which writes down where
 * traffic goes before it answers, and serves the same again after any death. Operations are fenced as a target's are, with the
 * same numbers: `stale` for a lower one, the recorded answer for a repeat. Away: `unavailable`, retryable.
 */
export interface EdgeControl {
  /** Has it listen where the configuration says, so that it answers (503) before there is a release. */
  open(environment: string): Promise<void>
  view(environment: string): Promise<EdgeView>
  /** Sends traffic to these instances, all of one digest, at least one; requests under way end where they began. */
  route(operation: Operation, upstreams: readonly Upstream[]): Promise<{ previousDigest?: string }>
  /** Raises the number and moves no traffic: an older `route` that is still to come is refused. */
  announce(operation: Operation): Promise<void>
  /** Takes traffic off, from whatever target it went to: 503 until the next `route`. */
  unroute(operation: Operation): Promise<void>
  /** Resolves when nothing is under way to these instances, after 30 s at the latest. Changes nothing; needs no number. */
  drained(environment: string, instanceIds: readonly string[]): Promise<void>
}
