/**
 * What people ask for meanwhile: cancels, rollbacks, deployments, retries of runs that have ended, freezes, blocks; and what becomes
 * of undos that are blocked.
 */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../src/api/client.ts'
import type { EnvironmentState } from '../../src/domain/environment.ts'
import { BelayError } from '../../src/domain/errors.ts'
import type { ReleaseRef } from '../../src/domain/release.ts'
import { serverNames, type ServerName } from '../helpers/cluster.ts'
import type { Ledger, Request } from './evidence.ts'
import { pause, waitFor } from './pause.ts'
import { environmentNames, type EnvironmentName } from './pipelines.ts'
import type { PlannedPerson } from './schedule.ts'
import type { ChaosWorld } from './world.ts'

export interface Persons {
  /** What was not done, and why, with how often. */
  refused: Map<string, number>
  /** Resolves when it is done, with what takes it back after a while. */
  act(planned: PlannedPerson): Promise<void>
  /** Sees to the undos that are blocked, once each round; gives how many there were. */
  settle(): Promise<number>
  /** Lifts every freeze that is left: a run would wait for its end. A release may stay blocked. */
  release(): Promise<void>
}

const mostTries = 8
/** Of the runs that have ended, so many of the newest are looked at for one to go on with. */
const newest = 60
const releaseWithinMs = 60_000

type Planned<D extends PlannedPerson['do']> = Extract<PlannedPerson, { do: D }>

export function createPersons(input: { world: ChaosWorld; ledger: Ledger; signal: AbortSignal }): Persons {
  const { world, ledger, signal } = input
  const retried = new Set<string>()
  const refused = new Map<string, number>()
  const refuse = (what: string) => void refused.set(what, (refused.get(what) ?? 0) + 1)

  /** The same key each time: a reply that was lost is asked for again. Undefined: refused, or never answered. */
  async function ask<T>(
    server: ServerName,
    request: Omit<Request, 'at'>,
    call: (client: Client, key: string) => Promise<T>,
  ): Promise<T | undefined> {
    const key = randomUUID()
    const at = Date.now()
    let via = server
    for (let tries = 0; tries < mostTries && !signal.aborted; tries += 1) {
      const askedAt = Date.now()
      try {
        const answer = await call(world.clientOf(via), key)
        ledger.requests.push({ at: askedAt, ...request })
        return answer
      } catch (error) {
        const final = !(error instanceof BelayError) || !error.retryable
        if (final || tries + 1 === mostTries) refuse(`${request.kind}: ${shorten(error)}`)
        // The one before may have been carried out, and only its answer be lost.
        if (final && tries > 0) ledger.unanswered.push({ at, ...request })
        if (final) return undefined
      }
      via = serverNames.find((other) => other !== via) ?? via
      await pause(750, signal)
    }
    ledger.unanswered.push({ at, ...request })
    return undefined
  }

  const openRuns = async () =>
    (await world.store.runs.listOpen())
      .filter(({ status }) => status !== 'rollback_blocked')
      .toSorted((a, b) => a.number - b.number)

  const stateOf = async (environment: EnvironmentName) => (await world.store.environments.load(environment)).state

  /** One of the open runs; waits a little for one. */
  async function cancel({ pick, server }: Planned<'cancel'>): Promise<void> {
    const run = await waitFor(async () => pickOf(await openRuns(), pick), { ms: 10_000, signal })
    if (run === undefined) return refuse('cancel: no run is open')
    await ask(server, { kind: 'cancel', runId: run.id }, (client) => client.cancelRun({ id: run.id }, { reason: 'chaos' }))
  }

  /** One that ended badly goes on, as it is or from one of its steps. */
  async function resume({ pick, server, from: which }: Planned<'retry'>): Promise<void> {
    const { items } = await world.store.runs.list({ limit: newest })
    const run = pickOf(
      items.filter(({ status, endedAt }) => endedAt !== undefined && status !== 'succeeded' && status !== 'skipped'),
      pick,
    )
    if (run === undefined) return refuse('resume: no run has ended badly')
    const plan = run.planDigest === undefined ? undefined : await world.store.runs.findPlan(run.planDigest)
    const from = which === undefined ? undefined : pickOf(plan?.steps ?? [], which)?.id
    const body = from === undefined ? {} : { from }
    await ask(server, { kind: 'resume', runId: run.id, ...body }, (client, key) =>
      client.retryRun({ id: run.id }, { ...body, reason: 'chaos' }, key),
    )
  }

  async function rollback({ environment, server }: Planned<'rollback' | 'deploy'>): Promise<void> {
    await ask(server, { kind: 'rollback', environment }, (client, key) => client.rollback(environment, { reason: 'chaos' }, key))
  }

  /** A release that the environment has kept. */
  async function deploy({ environment, pick, server }: Planned<'rollback' | 'deploy'>): Promise<void> {
    const state = await stateOf(environment)
    const release = pickOf(
      (state?.history ?? []).filter(({ status }) => status === 'kept'),
      pick,
    )?.release
    if (release === undefined) return refuse('deploy: nothing was kept yet')
    await ask(server, { kind: 'deploy', environment }, (client, key) =>
      client.deploy(environment, { release: String(release.number), project: world.project, reason: 'chaos' }, key),
    )
  }

  async function freeze({ environment, forMs, server }: Planned<'freeze'>): Promise<void> {
    const frozen = await ask(server, { kind: 'freeze', environment }, (client, key) =>
      client.freeze(environment, { for: '1m', reason: 'chaos' }, key),
    )
    if (frozen === undefined) return
    await pause(forMs, signal)
    await unfreeze(server, environment, frozen.freeze.id)
  }

  async function unfreeze(server: ServerName, environment: EnvironmentName, id: string): Promise<void> {
    await ask(server, { kind: 'unfreeze', environment }, (client, key) => client.unfreeze(environment, { freeze: id }, key))
  }

  /** One that was there, is there, or is about to come. */
  async function block({ environment, pick, rollback: back, forMs, server }: Planned<'block'>): Promise<void> {
    const release = pickOf(releasesIn(await stateOf(environment)), pick)
    if (release === undefined) return refuse('block: no release is known')
    const body = { release: String(release.number), project: world.project, reason: 'chaos' }
    const about = { environment, release: release.id }
    const blocked = await ask(server, { kind: 'block', ...about }, (client, key) =>
      client.block(environment, { ...body, rollback: back }, key),
    )
    if (blocked === undefined || forMs === undefined) return
    await pause(forMs, signal)
    await unblock(server, environment, release)
  }

  async function unblock(server: ServerName, environment: EnvironmentName, release: ReleaseRef): Promise<void> {
    const body = { release: String(release.number), project: world.project, reason: 'chaos' }
    const about = { environment, release: release.id }
    await ask(server, { kind: 'unblock', ...about }, (client, key) => client.unblock(environment, body, key))
  }

  /** True: there was one. */
  async function liftFreezes(environment: EnvironmentName): Promise<boolean> {
    const freezes = (await stateOf(environment))?.freezes ?? []
    for (const { id } of freezes) await unfreeze(serverNames[0], environment, id)
    return freezes.length > 0
  }

  return {
    refused,
    async act(planned) {
      switch (planned.do) {
        case 'cancel':
          return cancel(planned)
        case 'retry':
          return resume(planned)
        case 'rollback':
          return rollback(planned)
        case 'deploy':
          return deploy(planned)
        case 'freeze':
          return freeze(planned)
        case 'block':
          return block(planned)
      }
    },
    async settle() {
      const blocked = (await world.store.runs.listOpen()).filter(({ status }) => status === 'rollback_blocked')
      for (const { id, number } of blocked) {
        const server = serverNames[number % 2] ?? 'server-a'
        // Most are seen to and tried again; what is blocked a second time, and every third, is given up.
        const action = retried.has(id) || number % 3 === 0 ? ('skip' as const) : ('retry' as const)
        if (action === 'retry') writeFileSync(join(world.notes, `freed.${id}`), '')
        const body = { action, ...(action === 'skip' ? { reason: 'chaos' } : {}) }
        const done = await ask(server, { kind: action, runId: id }, (client, key) => client.settleUndo({ id }, body, key))
        if (done !== undefined) retried.add(id)
      }
      return blocked.length
    },
    async release() {
      const lift = async () => {
        const left = await Promise.all(environmentNames.map(liftFreezes))
        return left.includes(true) ? undefined : true
      }
      const lifted = await waitFor(lift, { ms: releaseWithinMs, signal })
      if (lifted === undefined) refuse('unfreeze: there is still a window')
    },
  }
}

/** What may be blocked: the newest few that were served, and what waits. */
function releasesIn(state: EnvironmentState | undefined): ReleaseRef[] {
  if (state === undefined) return []
  const { history, queue, active } = state
  return [...history.slice(-4), ...queue, ...(active === undefined ? [] : [active])].map(({ release }) => release)
}

function pickOf<T>(items: readonly T[], pick: number): T | undefined {
  return items[Math.min(Math.floor(pick * items.length), items.length - 1)]
}

/** Ids and numbers left out, so that the same reasons are counted together. */
function shorten(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/[0-9a-f-]{36}|sha256:\w+|\d+/g, '…').slice(0, 90)
}
