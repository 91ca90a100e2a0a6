/** Watches a release's instances by probing each: until all are healthy (`check`), or for as long as they must stay so (`verify`). */
import { setTimeout as pause } from 'node:timers/promises'
import type { HealthReport } from '../contract/activities.ts'
import { BelayError } from '../domain/errors.ts'
import type { HealthCheck } from '../domain/plan.ts'
import type { Instance, Target, Traffic } from '../drivers/targets/target.ts'
import { probe, type Probe } from './probe.ts'

export interface WatchInput {
  target: Target
  environment: string
  digest: string
  health: HealthCheck
  /** Aborted: the watch throws its reason at once. */
  signal: AbortSignal
}

/** A probe that hangs must not hide the process's end for long. */
const longestProbeMs = 5_000
/** The keeper is back within a second; a target that is away for longer is a fault, not the release's. */
const unreachableLimitMs = 15_000
/** An application that has just been started is asked soon, and then more and more seldom. */
const firstPauseMs = 50
const noTraffic = { requests: 0, errors: 0 }

/**
 * Healthy after `healthyAfter` good rounds in a row, within `timeoutMs`; a process gone: unhealthy at once. Until the first
 * good one rounds follow faster than `intervalMs`: who goes back to a release that was stopped waits for its start, and no longer.
 */
export async function waitUntilHealthy(input: WatchInput): Promise<HealthReport> {
  const { health } = input
  const deadline = performance.now() + health.timeoutMs
  let probes = 0
  let row = 0
  let last = ''
  let exitsBefore: Exits | undefined
  let pauseMs = firstPauseMs / 2
  const pauseFor = () => (row > 0 ? health.intervalMs : (pauseMs = Math.min(pauseMs * 2, health.intervalMs)))
  for await (const round of rounds(input, pauseFor)) {
    exitsBefore ??= exitsOf(round)
    const gone = round.find(({ instance }) => !instance.running)
    if (gone !== undefined) return { healthy: false, reason: goneReason(gone.instance), probes, ...noTraffic }
    probes += round.length
    const bad = findBad(round)
    row = bad === undefined ? row + 1 : 0
    if (bad !== undefined) last = hasDied(bad.instance, exitsBefore) ? `${bad.why}; ${goneReason(bad.instance)}` : bad.why
    if (row >= health.healthyAfter) return { healthy: true, probes, ...noTraffic }
    if (performance.now() >= deadline) break
  }
  const reason = `not healthy within ${String(health.timeoutMs)} ms: GET ${health.http}: ${last}`
  return { healthy: false, reason, probes, ...noTraffic }
}

/**
 * Watches for `bakeMs`, and never ends on an open question: after a failed round it goes on until a good one or until
 * there are `unhealthyAfter` in a row. Then the target must say that it serves this very digest.
 */
export async function bake(input: WatchInput & { bakeMs: number }): Promise<HealthReport> {
  const { target, environment, digest, health } = input
  const until = performance.now() + input.bakeMs
  const before = await target.traffic(environment, digest)
  const exitsBefore = exitsOf((await target.listInstances(environment, digest)).map((instance) => ({ instance })))
  let probes = 0
  let row = 0

  async function report(reason?: string): Promise<HealthReport> {
    const traffic = await target.traffic(environment, digest)
    return { healthy: reason === undefined, ...(reason === undefined ? {} : { reason }), probes, ...since(before, traffic) }
  }

  for await (const round of rounds(input, () => health.intervalMs)) {
    // One that died is started again where it runs: alive, but no less broken.
    const gone = round.find(({ instance }) => !instance.running || hasDied(instance, exitsBefore))
    if (gone !== undefined) return report(goneReason(gone.instance))
    probes += round.length
    const bad = findBad(round)
    row = bad === undefined ? 0 : row + 1
    if (bad !== undefined && row >= health.unhealthyAfter) {
      return report(`GET ${health.http} failed ${String(row)} times in a row: ${bad.why}`)
    }
    if (row === 0 && performance.now() >= until) break
  }
  const { servingDigest } = await target.observe(environment)
  if (servingDigest !== digest) return report(`${environment} serves another digest: ${servingDigest ?? 'none'}`)
  return report()
}

interface Seen {
  instance: Instance
  result: Probe
}

/** How each instance ended the last time, by its id. */
type Exits = ReadonlyMap<string, string | undefined>

function exitsOf(round: readonly Pick<Seen, 'instance'>[]): Exits {
  return new Map(round.map(({ instance }) => [instance.id, instance.exit]))
}

function hasDied({ id, exit }: Instance, before: Exits): boolean {
  return exit !== before.get(id)
}

function findBad(round: readonly Seen[]): { instance: Instance; why: string } | undefined {
  for (const { instance, result } of round) if (!result.healthy) return { instance, why: result.why }
  return undefined
}

/** One look at all instances after the other, so far apart, without end; throws when the signal is aborted or the target stays away. */
async function* rounds(
  { target, environment, digest, health, signal }: WatchInput,
  pauseFor: () => number,
): AsyncGenerator<Seen[], void, undefined> {
  let seenAt = performance.now()
  for (;;) {
    signal.throwIfAborted()
    const instances = await look()
    if (instances !== undefined) {
      seenAt = performance.now()
      const round = await Promise.all(instances.map(async (instance) => ({ instance, result: await ask(instance) })))
      signal.throwIfAborted()
      // A failed probe of a process that just died is its death, and that is what is told.
      yield round.every(({ result }) => result.healthy) ? round : refresh(round, (await look()) ?? [])
    }
    await pause(pauseFor(), undefined, { signal }).catch(() => {
      signal.throwIfAborted()
    })
  }

  async function look(): Promise<Instance[] | undefined> {
    try {
      const found = await target.listInstances(environment, digest)
      return found.length > 0 ? found : [{ id: '', digest, url: '', running: false, exit: 'is not there' }]
    } catch (error) {
      const away = error instanceof BelayError && error.retryable
      if (!away || performance.now() - seenAt > unreachableLimitMs) throw error
      return undefined
    }
  }

  function ask(instance: Instance): Promise<Probe> {
    if (!instance.running) return Promise.resolve({ healthy: false, why: 'its process has ended' })
    const timeoutMs = Math.min(longestProbeMs, health.timeoutMs)
    return probe(new URL(health.http, instance.url).href, { timeoutMs, signal })
  }
}

function refresh(round: readonly Seen[], instances: readonly Instance[]): Seen[] {
  return round.map(({ instance, result }) => ({ instance: instances.find(({ id }) => id === instance.id) ?? instance, result }))
}

function goneReason({ exit, tail }: Instance): string {
  const printed = tail === undefined || tail.trim() === '' ? '' : `; it printed last:\n${tail.trim()}`
  return `its process ${exit ?? 'ended'}${printed}`
}

/** Counts start again when the target does; then everything it has is new. */
function since(before: Traffic, now: Traffic): Traffic {
  const again = now.requests < before.requests
  return { requests: now.requests - (again ? 0 : before.requests), errors: now.errors - (again ? 0 : before.errors) }
}
