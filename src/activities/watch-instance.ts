/** Watches an instance by probing it: until it is healthy (`check`), or for as long as it must stay so (`verify`). */
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
const noTraffic = { requests: 0, errors: 0 }

/** Healthy after `healthyAfter` good probes in a row, within `timeoutMs`; its process gone: unhealthy at once. */
export async function waitUntilHealthy(input: WatchInput): Promise<HealthReport> {
  const { health } = input
  const deadline = performance.now() + health.timeoutMs
  let probes = 0
  let row = 0
  let last = ''
  let exitBefore: string | undefined
  for await (const { instance, result } of observations(input)) {
    if (probes === 0) exitBefore = instance.exit
    if (!instance.running) return { healthy: false, reason: goneReason(instance), probes, ...noTraffic }
    probes += 1
    row = result.healthy ? row + 1 : 0
    if (!result.healthy) last = instance.exit === exitBefore ? result.why : `${result.why}; ${goneReason(instance)}`
    if (row >= health.healthyAfter) return { healthy: true, probes, ...noTraffic }
    if (performance.now() >= deadline) break
  }
  const reason = `not healthy within ${String(health.timeoutMs)} ms: GET ${health.http}: ${last}`
  return { healthy: false, reason, probes, ...noTraffic }
}

/**
 * Watches for `bakeMs`, and never ends on an open question: after a failed probe it goes on until a good one or until
 * there are `unhealthyAfter` in a row. Then the target must say that it serves this very digest.
 */
export async function bake(input: WatchInput & { bakeMs: number }): Promise<HealthReport> {
  const { target, environment, digest, health } = input
  const until = performance.now() + input.bakeMs
  const before = await target.traffic(environment, digest)
  const exitBefore = (await target.findInstance(environment, digest))?.exit
  let probes = 0
  let row = 0

  async function report(reason?: string): Promise<HealthReport> {
    const traffic = await target.traffic(environment, digest)
    return { healthy: reason === undefined, ...(reason === undefined ? {} : { reason }), probes, ...since(before, traffic) }
  }

  for await (const { instance, result } of observations(input)) {
    // One that died is started again by its keeper: alive, but no less broken.
    if (!instance.running || instance.exit !== exitBefore) return report(goneReason(instance))
    probes += 1
    row = result.healthy ? 0 : row + 1
    if (!result.healthy && row >= health.unhealthyAfter) {
      return report(`GET ${health.http} failed ${String(row)} times in a row: ${result.why}`)
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

/** One look after the other, `intervalMs` apart, without end; throws when the signal is aborted or the target stays away. */
async function* observations({ target, environment, digest, health, signal }: WatchInput): AsyncGenerator<Seen, void, undefined> {
  let seenAt = performance.now()
  for (;;) {
    signal.throwIfAborted()
    const instance = await look()
    if (instance !== undefined) {
      seenAt = performance.now()
      const result = await ask(instance)
      signal.throwIfAborted()
      // A failed probe of a process that just died is its death, and that is what is told.
      yield { instance: result.healthy ? instance : ((await look()) ?? instance), result }
    }
    await pause(health.intervalMs, undefined, { signal }).catch(() => {
      signal.throwIfAborted()
    })
  }

  async function look(): Promise<Instance | undefined> {
    try {
      const found = await target.findInstance(environment, digest)
      return found ?? { digest, url: '', running: false, exit: 'is not there' }
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

function goneReason({ exit, tail }: Instance): string {
  const printed = tail === undefined || tail.trim() === '' ? '' : `; it printed last:\n${tail.trim()}`
  return `its process ${exit ?? 'ended'}${printed}`
}

/** Counts start again when the target does; then everything it has is new. */
function since(before: Traffic, now: Traffic): Traffic {
  const again = now.requests < before.requests
  return { requests: now.requests - (again ? 0 : before.requests), errors: now.errors - (again ? 0 : before.errors) }
}
