/** A world in small for tests of the checker: a real store, real files, a real forge's far side, and a run that went well. */
import { randomUUID } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { createClient } from '../../../src/api/client.ts'
import { emptyEnvironment } from '../../../src/domain/environment-rules.ts'
import type { Plan, PlanStep } from '../../../src/domain/plan.ts'
import type { RunEventBody, StepChange, UndoItem } from '../../../src/domain/run-event.ts'
import type { RunEnd } from '../../../src/domain/run.ts'
import { commandsStep, planOf } from '../../../src/runner/testing/plan.ts'
import { openStore } from '../../../src/store/open-store.ts'
import type { LogKey, Run, Store } from '../../../src/store/store.ts'
import { digestOf, makeDelivery, makeTrigger, sha } from '../../contracts/store/samples.ts'
import { startForgeDouble } from '../../helpers/forge-double.ts'
import type { RunningRegistry } from '../../helpers/registry.ts'
import { expectedLines } from '../expected-lines.ts'
import type { Ledger, Violation, World } from '../evidence.ts'
import { remember, type Memory } from '../memory.ts'
import type { Execution } from '../temporal-view.ts'

export interface SmallWorld {
  world: World
  store: Store
  ledger: Ledger
  /** What Temporal is to have; none unless a test says. */
  executions: Execution[]
  /** A delivery with its post, and the runs that it makes, still queued. */
  deliver(spec?: Partial<Delivered>): Promise<Run[]>
  /** From its start to its end, with notes and logs as they should be. */
  carryOut(run: Run, spec?: Partial<CarriedOut>): Promise<void>
  /** An ended run goes on, as a person asked for: the run in its next round. */
  goOn(run: Run, input?: { from?: string; asked?: boolean }): Promise<Run>
  /** Further events of a run, in its round. */
  tell(run: Run, bodies: RunEventBody[]): Promise<void>
  note(...lines: string[]): void
  writeLog(key: Partial<LogKey> & { runId: string }, text: string, input?: { final?: boolean }): Promise<void>
  remember(): Promise<Memory>
}

interface Delivered {
  deliveryId: string
  branch: string
  sha: string
  pipelines: string[]
}

interface CarriedOut {
  end: RunEnd | 'rollback_blocked' | 'open'
  /** Absent: one step of commands, `build`. */
  plan: Plan
  /** Absent: each step succeeds at its first attempt. */
  changes: StepChange[]
  undo: UndoItem[]
  /** Leaves neither notes nor logs. */
  silent: boolean
}

const linesOfStep = 3

/** Worlds for the tests of a file, each taken down after its test. */
export function smallWorlds(): (options?: { registry?: RunningRegistry }) => Promise<SmallWorld> {
  const ends: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })
  return async ({ registry = noRegistry } = {}) => {
    const directory = mkdtempSync(join(tmpdir(), 'belay-chaos-'))
    ends.push(() => Promise.resolve(rmSync(directory, { recursive: true, force: true })))
    const places = { database: join(directory, 'belay.db'), logs: join(directory, 'logs'), keeper: join(directory, 'keeper') }
    const notes = join(directory, 'notes')
    for (const place of [notes, places.keeper, join(directory, 'runner/journal'), join(directory, 'workspaces')])
      mkdirSync(place, { recursive: true })
    const store = await openStore({ ...places, blobs: join(directory, 'blobs') })
    ends.push(() => store.close())
    const forge = await startForgeDouble()
    ends.push(() => forge.stop())
    const world: World = {
      ...{ directory, store, places, notes, forge, registry },
      client: createClient({ url: nowhere, token: '' }),
      temporal: { address: '127.0.0.1:1', namespace: 'default' },
      project: 'shop',
      mounts: [],
      environments: [],
      runners: [{ name: 'runner-a', data: join(directory, 'runner'), workspaces: join(directory, 'workspaces') }],
      canaries: ['c4n4ry/of "the" proof+?'],
      processes: () => [],
      ports: {},
      printed: () => [],
    }
    return createSmallWorld(world)
  }
}

const nowhere = 'http://127.0.0.1:1'
const noRegistry: RunningRegistry = {
  ...{ url: nowhere, host: '127.0.0.1:1', access: { name: 'main', url: nowhere } },
  log: () => '',
  stop: () => Promise.resolve(),
}

function createSmallWorld(world: World): SmallWorld {
  const { store } = world
  const ledger: Ledger = { seed: 1, commit: 'abc1234', startedAt: 0, posts: [], requests: [], unanswered: [], faults: [] }
  const told = new Map<string, number>()
  let deliveries = 0

  const small: SmallWorld = {
    ...{ world, store, ledger, executions: [] },
    async deliver(spec = {}) {
      deliveries += 1
      const { deliveryId = `delivery-${String(deliveries)}`, branch = 'main', pipelines = ['one'] } = spec
      const commit = spec.sha ?? sha(deliveryId)
      const trigger = makeTrigger({ sha: commit, branch })
      const accepted = await store.deliveries.accept(makeDelivery(deliveryId, { parsed: { trigger } }))
      if (accepted.type !== 'accepted' || !('run' in accepted.answer)) throw new Error(`${deliveryId} made no run`)
      const { id } = accepted.answer.run
      ledger.posts.push({ at: Date.now(), deliveryId, branch, sha: commit, pipelines, status: 202, runId: id })
      const [first, ...others] = pipelines
      if (others.length > 0) await store.runs.startSiblings({ runId: id, pipelines: others })
      const { items } = await store.runs.list({ limit: 200 })
      const runs = items.filter(
        (run) => run.id === id || (first !== undefined && run.pipeline !== undefined && others.includes(run.pipeline)),
      )
      return runs.filter((run) => run.trigger.sha === commit).toSorted((a, b) => a.number - b.number)
    },
    async carryOut(run, spec = {}) {
      const { end = 'succeeded', undo = [], silent = false } = spec
      const pipeline = run.pipeline ?? 'one'
      const plan = { ...(spec.plan ?? planOf([commandsStep('build', ['make'])])), pipeline }
      const changes = spec.changes ?? plan.steps.flatMap(goodChanges)
      const planDigest = digestOf(JSON.stringify(plan))
      await store.runs.savePlan({ runId: run.id, plan, planDigest })
      await small.tell(run, [
        { type: 'run', status: 'running' },
        { type: 'workspace', runner: 'runner-a', epoch: 1, status: 'opened' },
        { type: 'planned', pipeline, planDigest, steps: plan.steps.map(({ id }) => id) },
        ...changes.map((each) => ({ type: 'step' as const, change: each })),
        ...undo.map((item) => ({ type: 'undo' as const, item })),
      ])
      if (!silent) await leaveTraces(run, changes)
      if (end !== 'open') await store.runs.finish(run.id, { status: end, at: Date.now(), round: run.round }, [])
    },
    async goOn(run, { from, asked = true } = {}) {
      const what = { ...(from === undefined ? {} : { from }) }
      if (asked) ledger.requests.push({ at: Date.now(), kind: 'resume', runId: run.id, ...what })
      const actor = { id: 'token:a', name: 'a' }
      const resumed = await store.runs.resume({ runId: run.id, ...what, actor, key: randomUUID() })
      small.executions.push(execution(`run/${run.id}/retry-${String(resumed.round)}`))
      return resumed
    },
    async tell(run, bodies) {
      const source = `${run.id}/${String(run.round)}`
      const n = told.get(source) ?? 0
      told.set(source, n + bodies.length)
      await store.runs.record(
        run.id,
        bodies.map((body, index) => ({ source: 'run', epoch: run.round, n: n + index, at: Date.now(), body })),
      )
    },
    note: (...lines) => appendFileSync(join(world.notes, 'effects'), lines.map((line) => `${line}\n`).join('')),
    async writeLog(key, text, { final = true } = {}) {
      const whole: LogKey = { step: 'build', attempt: 1, epoch: 1, part: 'step', ...key }
      await store.logs.append(whole, { offset: 0, bytes: Buffer.from(text), final })
    },
    remember: () =>
      remember(world, ledger, {
        executions: small.executions,
        askEnvironment: (name) =>
          Promise.resolve(small.world.environments.length > 0 ? loadState(name) : emptyEnvironment(name, 0)),
      }),
  }
  return small

  async function loadState(name: string) {
    return (await store.environments.load(name)).state ?? emptyEnvironment(name, 0)
  }

  async function leaveTraces(run: Run, changes: readonly StepChange[]): Promise<void> {
    for (const { step, attempt, epoch, status } of changes) {
      if (status !== 'succeeded') continue
      small.note(`begin ${run.id} ${step} ${String(attempt)}`, `end ${run.id} ${step} ${String(attempt)}`)
      const lines = ['$ make', ...expectedLines(step, linesOfStep)]
      await small.writeLog({ runId: run.id, step, attempt, epoch }, `${lines.join('\n')}\n`)
    }
  }
}

function goodChanges({ id }: PlanStep): StepChange[] {
  return [change(id, 'running'), change(id, 'succeeded')]
}

export function change(step: string, status: StepChange['status'], over: Partial<StepChange> = {}): StepChange {
  return { step, attempt: 1, epoch: 1, status, startedAt: 1, ...(status === 'running' ? {} : { endedAt: 2 }), ...over }
}

export function execution(workflowId: string, over: Partial<Execution> = {}): Execution {
  return { workflowId, executionId: randomUUID(), type: workflowId.split('/')[0] ?? '', status: 'COMPLETED', ...over }
}

/** `about: facts` of each, for looking at them. */
export function linesOf(violations: readonly Violation[]): string[] {
  return violations.map(({ invariant, about, facts }) => `${invariant} ${about}: ${facts}`)
}
