/** Where traffic may go: one instance of a release, wherever it runs. */
export interface Upstream {
  /** Of the instance: unique, and never used again for another one. */
  id: string
  /** Manifest digest of its release. */
  digest: string
  /** Address that the edge reaches it at. */
  host: string
  port: number
}

export interface EdgeAddress {
  host: string
  /** 0: any free one; what was taken is kept from then on. */
  port: number
}

/** Counts of one release since they were reset. */
export interface Totals {
  requests: number
  /** No answer, or a 5xx of the application's. */
  errors: number
}

/**
 * The one place where an environment's requests come in. It lives in the keeper, decides nothing and remembers nothing that
 * matters: whoever made it says after each start where it listens and where traffic goes. Calls of one edge come one at a
 * time; each may be repeated.
 */
export interface Edge {
  /** Where it listens; undefined before `listen`. */
  address(): EdgeAddress | undefined
  /** Moves it there; already there: nothing happens. In use by somebody else: `conflict`, retryable, and it stays where it was. */
  listen(address: EdgeAddress): Promise<EdgeAddress>
  /**
   * From its return on new requests go to these, in turn; requests under way end where they began. All are of one digest. None: 503
   * with Retry-After. An upstream that refuses connections is waited for (2 s), as it may be starting again. Cannot be
   * reached: `unavailable`, retryable, and traffic goes where it went.
   */
  route(upstreams: readonly Upstream[]): Promise<void>
  /** Requests under way to that instance. */
  inFlight(instanceId: string): number
  /** Resolves when nothing is under way there, after `limitMs` at the latest; rejects with the signal's reason when it is aborted. */
  drained(instanceId: string, limitMs: number, signal?: AbortSignal): Promise<void>
  /** By digest. */
  totals(): Record<string, Totals>
  /** Starts a release's counts again, at its activation. */
  reset(digest: string): void
  /** Takes no new connection; resolves when the requests under way have ended, after `limitMs` at the latest. */
  close(limitMs: number): Promise<void>
}

export interface EdgeOptions {
  /** Of the environment. */
  name: string
  /** 0700, of this edge alone; kept between the keeper's lives. */
  directory: string
  /** Counts to go on from. */
  totals: Readonly<Record<string, Totals>>
  log(line: string): void
}

/** A kind of edge, as `environments.NAME.edge.driver` in the configuration names it. */
export interface EdgeDriver {
  readonly name: string
  /** Undefined if it can work on this machine; else why not, in one sentence that says what to do. */
  findObstacle(): string | undefined
  /** Takes over what an earlier life of the keeper left running. */
  create(options: EdgeOptions): Promise<Edge>
}
