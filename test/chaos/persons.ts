/** What people ask for meanwhile: cancels, rollbacks, deployments, and what becomes of undos that are blocked. */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../src/api/client.ts'
import { BelayError } from '../../src/domain/errors.ts'
import { serverNames, type ServerName } from '../helpers/cluster.ts'
import type { Ledger, Request } from './evidence.ts'
import { pause, waitFor } from './pause.ts'
import type { EnvironmentName } from './pipelines.ts'
import type { ChaosWorld } from './world.ts'

export interface Persons {
  /** What was not done, and why, with how often. */
  refused: Map<string, number>
  /** One of the open runs; waits a little for one. */
  cancel(pick: number, server: ServerName): Promise<void>
  rollback(environment: EnvironmentName, server: ServerName): Promise<void>
  /** A release that the environment has kept. */
  deploy(environment: EnvironmentName, pick: number, server: ServerName): Promise<void>
  /** Sees to the undos that are blocked, once each round; gives how many there were. */
  settle(): Promise<number>
}

const mostTries = 8

export function createPersons(input: { world: ChaosWorld; ledger: Ledger; signal: AbortSignal }): Persons {
  const { world, ledger, signal } = input
  const retried = new Set<string>()
  const refused = new Map<string, number>()
  const refuse = (what: string) => void refused.set(what, (refused.get(what) ?? 0) + 1)

  /** The same key each time: a reply that was lost is asked for again. False: refused, or never answered. */
  async function ask(
    server: ServerName,
    request: Omit<Request, 'at'>,
    call: (client: Client, key: string) => Promise<unknown>,
  ): Promise<boolean> {
    const key = randomUUID()
    let via = server
    for (let tries = 0; tries < mostTries && !signal.aborted; tries += 1) {
      const at = Date.now()
      try {
        await call(world.clientOf(via), key)
        ledger.requests.push({ at, ...request })
        return true
      } catch (error) {
        const final = !(error instanceof BelayError) || !error.retryable
        if (final || tries + 1 === mostTries) refuse(`${request.kind}: ${shorten(error)}`)
        if (final) return false
      }
      via = serverNames.find((other) => other !== via) ?? via
      await pause(750, signal)
    }
    return false
  }

  const openRuns = async () =>
    (await world.store.runs.listOpen())
      .filter(({ status }) => status !== 'rollback_blocked')
      .toSorted((a, b) => a.number - b.number)

  return {
    refused,
    async cancel(pick, server) {
      const chosen = async () => {
        const open = await openRuns()
        return open[Math.floor(pick * open.length)]
      }
      const run = await waitFor(chosen, { ms: 10_000, signal })
      if (run === undefined) return refuse('cancel: no run is open')
      await ask(server, { kind: 'cancel', runId: run.id }, (client) => client.cancelRun({ id: run.id }, { reason: 'chaos' }))
    },
    async rollback(environment, server) {
      await ask(server, { kind: 'rollback', environment }, (client, key) =>
        client.rollback(environment, { reason: 'chaos' }, key),
      )
    },
    async deploy(environment, pick, server) {
      const { state } = await world.store.environments.load(environment)
      const kept = (state?.history ?? []).filter(({ status }) => status === 'kept')
      const release = kept[Math.floor(pick * kept.length)]?.release
      if (release === undefined) return refuse('deploy: nothing was kept yet')
      await ask(server, { kind: 'deploy', environment }, (client, key) =>
        client.deploy(environment, { release: String(release.number), project: world.project, reason: 'chaos' }, key),
      )
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
        if (done) retried.add(id)
      }
      return blocked.length
    },
  }
}

/** Ids and numbers left out, so that the same reasons are counted together. */
function shorten(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/[0-9a-f-]{36}|sha256:\w+|\d+/g, '…').slice(0, 90)
}
