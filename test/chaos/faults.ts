// Long because each way to break something stands beside the way to mend it.
/** Breaks what the schedule says, mends it after a while, and writes both down. */
import { readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client'
import { environmentWorkflowId, runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { armFaultPoint } from '../helpers/arm-fault-point.ts'
import { runnerNames, partNames, type PartName } from '../helpers/cluster.ts'
import type { WireRule } from '../helpers/faulty-wire.ts'
import type { Fault, Ledger } from './evidence.ts'
import { pause, waitFor } from './pause.ts'
import type { Pushing } from './pushing.ts'
import type { Reviver } from './revive.ts'
import { diskNames, type ChaosPart, type DiskName, type PlannedFault } from './schedule.ts'
import { findWatchdogs, isWatchdog } from './watchdogs.ts'
import { freeBytes, type ChaosWorld } from './world.ts'

/** What is looked at to see that things move again after a fault. */
export type Mark = { runner: string } | { run: string } | { environment: string } | 'deployments' | 'anything'

export interface Faults {
  /** Resolves when it is mended. */
  inject(planned: PlannedFault): Promise<void>
  /** What could not be done or met nothing, by name. */
  idle: Map<string, number>
  /** Mends all that is broken still, and ends what waits. */
  heal(): Promise<void>
  markOf(fault: Fault): Mark
}

export interface FaultsInput {
  world: ChaosWorld
  ledger: Ledger
  pushing: Pushing
  reviver: Reviver
  /** Over: nothing more is broken, and what waits is left. */
  signal: AbortSignal
}

const upWithinMs = 90_000
const pointWithinMs = 20_000
/** PostgreSQL's tables go on for a moment; when it needs the next file of its journal, it ends. */
const lastFreeBytes: Readonly<Record<DiskName, number>> = { store: 512 * 1024, logs: 4096, workspace: 4096 }

export function createFaults({ world, ledger, pushing, reviver, signal }: FaultsInput): Faults {
  const { cluster } = world
  const idle = new Map<string, number>()
  const marks = new WeakMap<Fault, Mark>()
  const busy = new Map<string, Promise<unknown>>()
  const stopped = new Map<PartName | 'watchdog', number>()
  let ended = false

  function note(name: string, mark: Mark = 'anything', at = Date.now()): Fault {
    const fault: Fault = { at, name }
    ledger.faults.push(fault)
    marks.set(fault, mark)
    return fault
  }

  function wasIdle(name: string): void {
    idle.set(name, (idle.get(name) ?? 0) + 1)
  }

  /** One after the other, of what is the same. */
  async function alone(what: string, work: () => Promise<void>): Promise<void> {
    const before = busy.get(what)
    const mine = (async () => {
      await before
      if (!signal.aborted) await work()
    })()
    busy.set(what, mine)
    await mine
  }

  async function untilUp(fault: Fault, part: PartName): Promise<void> {
    const up = await waitFor(() => (reviver.isUp(part) ? true : undefined), { ms: upWithinMs })
    if (up === true) fault.healedAt = Date.now()
  }

  async function kill(part: ChaosPart, downMs: number): Promise<void> {
    if (part === 'watchdog') return killWatchdog()
    await waitFor(() => (reviver.isUp(part) ? true : undefined), { ms: upWithinMs, signal })
    if (signal.aborted || !reviver.isUp(part)) return wasIdle(`kill ${part}`)
    reviver.hold(part, downMs)
    const fault = note(`kill ${part}`, markOfPart(part))
    await cluster.kill(part)
    await untilUp(fault, part)
  }

  function killWatchdog(): void {
    const [pid] = findWatchdogs(cluster)
    if (pid === undefined) return wasIdle('kill watchdog')
    const fault = note('kill watchdog')
    process.kill(pid, 'SIGKILL')
    fault.healedAt = Date.now()
  }

  async function stop(part: ChaosPart, forMs: number): Promise<void> {
    const pid = pidOf(part)
    if (pid === undefined) return wasIdle(`stop ${part}`)
    const fault = note(`stop ${part}`, part === 'watchdog' ? 'anything' : markOfPart(part))
    await sleep(part, pid, forMs)
    fault.healedAt = Date.now()
  }

  async function sleep(part: ChaosPart, pid: number, forMs: number): Promise<void> {
    process.kill(pid, 'SIGSTOP')
    stopped.set(part, pid)
    await pause(forMs, signal)
    goOn(part)
  }

  function goOn(part: ChaosPart): void {
    const pid = stopped.get(part)
    stopped.delete(part)
    if (pid === undefined) return
    // A watchdog whose runner has died is no child of it any more, and is there all the same.
    const isThere = part === 'watchdog' ? isWatchdog(pid) : pidOf(part) === pid
    if (isThere) process.kill(pid, 'SIGCONT')
  }

  function pidOf(part: ChaosPart): number | undefined {
    if (part === 'watchdog') return findWatchdogs(cluster)[0]
    return cluster.isGone(part) ? undefined : cluster.pid(part)
  }

  function partOf(pid: number): PartName | undefined {
    return partNames.find((part) => pidOf(part) === pid)
  }

  /** Armed until somebody comes by. Who that is has to be known before it is gone. */
  async function point({ point: name, blow, downMs }: PlannedFault & { family: 'point' }): Promise<void> {
    const pids = new Map(partNames.flatMap((part) => (pidOf(part) === undefined ? [] : [[pidOf(part), part] as const])))
    const armed = join(world.points, name)
    armFaultPoint(armed, blow)
    const taken = await waitFor(
      () => {
        for (const part of partNames) if (!cluster.isGone(part)) pids.set(cluster.pid(part), part)
        return readdirSync(world.points).find((file) => file.startsWith(`${name}.taken.`))
      },
      { ms: pointWithinMs, signal },
    )
    rmSync(armed, { force: true })
    const file = taken ?? readdirSync(world.points).find((entry) => entry.startsWith(`${name}.taken.`))
    if (file === undefined) return wasIdle(`point ${name}`)
    rmSync(join(world.points, file))
    const pid = Number(file.split('.').at(-1))
    const part = pids.get(pid) ?? partOf(pid)
    const fault = note(`point ${name} ${blow}`, part === undefined ? 'anything' : markOfPart(part))
    if (part === undefined || blow === 'throw') {
      fault.healedAt = Date.now()
      if (blow === 'stop') process.kill(pid, 'SIGCONT')
      return
    }
    if (blow === 'kill') {
      reviver.hold(part, downMs)
      await waitFor(() => (pidOf(part) === pid ? undefined : true), { ms: upWithinMs })
      return untilUp(fault, part)
    }
    stopped.set(part, pid)
    await pause(11_000 + downMs, signal)
    goOn(part)
    fault.healedAt = Date.now()
  }

  async function breakWire({ break: broken, forMs, server }: PlannedFault & { family: 'wire' }): Promise<void> {
    const mark: Mark = broken.wire === 'registry' ? 'deployments' : 'anything'
    const at = Date.now()
    if (broken.wire === 'forge') {
      const count = 3
      world.forge.faults.push(...Array.from({ length: count }, () => broken.answer))
      await pause(forMs, signal)
      const left = world.forge.faults.splice(0).length
      if (left === count) return wasIdle(broken.name)
      note(broken.name, mark, at).healedAt = Date.now()
      return
    }
    const wire = broken.wire === 'hook' ? world.wires[server] : world.wires[broken.wire]
    const most = 1_000_000
    const rule: WireRule = { ...broken.rule, times: most }
    wire.rules.unshift(rule)
    await pause(forMs, signal)
    wire.rules.splice(wire.rules.indexOf(rule), 1)
    if (rule.times === most) return wasIdle(broken.name)
    note(broken.name, mark, at).healedAt = Date.now()
  }

  async function fill(name: DiskName, forMs: number): Promise<void> {
    const disk = world.disks[name]
    if (disk === undefined) return wasIdle(`disk ${name} full`)
    const fault = note(`disk ${name} full`, name === 'workspace' ? { runner: runnerNames[0] } : 'anything')
    await disk.leaveFree(lastFreeBytes[name])
    await pause(forMs, signal)
    await disk.leaveFree(freeBytes[name])
    // PostgreSQL ends when it cannot write its journal.
    if (name === 'store') await untilUp(fault, 'postgres')
    else fault.healedAt = Date.now()
  }

  async function deliver(planned: PlannedFault & { family: 'delivery' }): Promise<void> {
    const at = Date.now()
    const name = `delivery ${planned.how}`
    if (planned.how === 'reversed') {
      const [first, second] = planned.pushes
      const committed = [await pushing.commit(first), await pushing.commit({ ...second, branch: first.branch })]
      for (const one of committed.toReversed()) await pushing.deliver(one, first.server)
    } else {
      // The oldest of all, or one of the last few.
      const pick = planned.how === 'old' ? planned.pick * 0.1 : 1 - planned.pick * 0.1
      if (!(await pushing.repeat(pick, planned.server))) return wasIdle(name)
    }
    note(name, 'anything', at).healedAt = Date.now()
  }

  async function terminate(planned: PlannedFault & { family: 'terminate' }): Promise<void> {
    const chosen = planned.what === 'environment' ? planned.environment : await chooseRun(planned.pick)
    if (chosen === undefined) return wasIdle('terminate run')
    const run = planned.what === 'run'
    const round = run ? ((await world.store.runs.find(chosen))?.round ?? 0) : 0
    const about = run ? runWorkflowId(chosen, round) : environmentWorkflowId(chosen)
    try {
      await inTemporal((client) => client.workflow.getHandle(about).terminate('chaos'))
    } catch (error) {
      // It has just ended. If Temporal is away, it may have been carried out all the same: then it counts.
      if (error instanceof WorkflowNotFoundError) return wasIdle(`terminate ${planned.what}`)
    }
    const fault = note(`terminate ${planned.what}`, run ? { run: chosen } : { environment: chosen })
    fault.about = about
    fault.healedAt = Date.now()
  }

  async function chooseRun(pick: number): Promise<string | undefined> {
    const open = (await world.store.runs.listOpen()).filter(({ status }) => status === 'running')
    return open.toSorted((a, b) => a.number - b.number)[Math.floor(pick * open.length)]?.id
  }

  async function inTemporal<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const connection = await Connection.connect({ address: world.temporal.address, connectTimeout: '3s' })
    try {
      return await connection.withDeadline(Date.now() + 5_000, () => work(new Client({ connection })))
    } finally {
      await connection.close()
    }
  }

  /** What serves falls ill, and so is what is pushed meanwhile. */
  async function sicken({ environment, forMs, push }: PlannedFault & { family: 'sick' }): Promise<void> {
    const url = world.environments.find(({ name }) => name === environment)?.url ?? ''
    const at = Date.now()
    const delivering = pushing.push(push)
    const fell = await waitFor(
      async () => {
        const active = (await world.store.environments.load(environment)).state?.active
        return active?.kind === 'deploy' ? true : undefined
      },
      { ms: 20_000, signal },
    )
    const answer = await fetch(`${url}/sicken?ms=${String(forMs)}`, { method: 'POST', signal: AbortSignal.timeout(5_000) }).catch(
      () => undefined,
    )
    await delivering
    if (fell === undefined || answer?.status !== 200) return wasIdle('both releases sick')
    const fault = note('both releases sick', { environment }, at)
    await pause(forMs, signal)
    fault.healedAt = Date.now()
  }

  async function carryOut(planned: PlannedFault): Promise<void> {
    switch (planned.family) {
      case 'kill':
        return alone(planned.part, () => kill(planned.part, planned.downMs))
      case 'stop':
        return alone(planned.part, () => stop(planned.part, planned.forMs))
      case 'point':
        return alone(`point ${planned.point}`, () => point(planned))
      case 'wire':
        return alone(`wire ${planned.break.wire}`, () => breakWire(planned))
      case 'disk':
        return alone(`disk ${planned.disk}`, () => fill(planned.disk, planned.forMs))
      case 'delivery':
        return deliver(planned)
      case 'terminate':
        return terminate(planned)
      case 'sick':
        return alone(`sick ${planned.environment}`, () => sicken(planned))
    }
  }

  return {
    inject: carryOut,
    idle,
    markOf: (fault) => marks.get(fault) ?? 'anything',
    async heal() {
      if (ended) return
      ended = true
      for (const part of [...stopped.keys()]) goOn(part)
      for (const wire of Object.values(world.wires)) wire.rules.length = 0
      world.forge.faults.length = 0
      for (const name of diskNames) await world.disks[name]?.leaveFree(freeBytes[name])
      for (const file of readdirSync(world.points)) heedLeft(file)
    },
  }

  /** Armed and not yet taken: away with it. Taken a moment ago: whoever was stopped goes on. */
  function heedLeft(file: string): void {
    const place = join(world.points, file)
    const [, pid] = /[.]taken[.](\d+)$/.exec(file) ?? []
    if (pid !== undefined && readFileSync(place, 'utf8').trim() === 'stop' && partOf(Number(pid)) !== undefined)
      process.kill(Number(pid), 'SIGCONT')
    rmSync(place, { force: true })
  }
}

/** Which of what is told shows that this part works. */
function markOfPart(part: PartName): Mark {
  const runner = runnerNames.find((name) => name === part)
  if (runner !== undefined) return { runner }
  return part === 'deployer' || part === 'keeper' ? 'deployments' : 'anything'
}
