/** What will be done to the world and when: made of the seed alone, before anything is started. */
import { partNames, serverNames, type PartName, type ServerName } from '../helpers/cluster.ts'
import {
  branches,
  environmentNames,
  idleBranch,
  traits,
  type EnvironmentName,
  type Fate,
  type Trait,
  type Written,
} from './pipelines.ts'
import { faultPoints, type PointBlow } from './points.ts'
import { createRandom, type Random } from './random.ts'
import { wireBreaks, type WireBreak } from './wires.ts'

/** What persons do; `rollback` is also the deployment of a release that was kept. */
export const personFamilies = ['cancel', 'rollback', 'retry', 'freeze', 'block'] as const
export const faultFamilies = ['kill', 'stop', 'point', 'wire', 'disk', 'delivery', 'terminate', 'sick'] as const
/** What `--faults` chooses from. */
export const families = [...faultFamilies, ...personFamilies] as const
export type FaultFamily = (typeof faultFamilies)[number]
export type Family = (typeof families)[number]

export interface PlannedPush {
  branch: string
  written: Written
  server: ServerName
}

export type PlannedFault =
  | { family: 'kill'; part: ChaosPart; downMs: number }
  | { family: 'stop'; part: ChaosPart; forMs: number }
  | { family: 'point'; point: string; blow: PointBlow; downMs: number }
  | { family: 'wire'; break: WireBreak; forMs: number; server: ServerName }
  | { family: 'disk'; disk: DiskName; forMs: number }
  | { family: 'delivery'; how: 'duplicate' | 'old'; pick: number; server: ServerName }
  | { family: 'delivery'; how: 'reversed'; pushes: [PlannedPush, PlannedPush] }
  | { family: 'terminate'; what: 'run'; pick: number }
  | { family: 'terminate'; what: 'environment'; environment: EnvironmentName }
  | { family: 'sick'; environment: EnvironmentName; forMs: number; push: PlannedPush }

export type Planned =
  ({ at: number; do: 'push' } & PlannedPush) | PlannedPerson | { at: number; do: 'fault'; fault: PlannedFault }

/** `pick`: which of those that there are then. */
export type PlannedPerson = { at: number; pick: number; server: ServerName } & (
  | { do: 'cancel' }
  /** `from`: which step, if it is done again in any case. */
  | { do: 'retry'; from?: number }
  | { do: 'rollback' | 'deploy'; environment: EnvironmentName }
  | { do: 'freeze'; environment: EnvironmentName; forMs: number }
  /** Without `forMs` until somebody lifts all of them. */
  | { do: 'block'; environment: EnvironmentName; rollback: boolean; forMs?: number }
)

/** The watchdog is a runner's; where there is none the fault is said to have been impossible. */
export type ChaosPart = PartName | 'watchdog'
export const chaosParts: readonly [ChaosPart, ...ChaosPart[]] = [...partNames, 'watchdog']
export const diskNames = ['store', 'logs', 'workspace'] as const
export type DiskName = (typeof diskNames)[number]

export interface ScheduleOptions {
  seed: number
  /** ms */
  length: number
  /** `kill`, or one of a family: `kill:temporal`. */
  chosen(name: string): boolean
}

/** ms between two of a kind, from and below. */
const every = {
  push: [2_500, 5_000],
  fault: [3_500, 5_500],
  cancel: [18_000, 34_000],
  rollback: [8_000, 16_000],
  retry: [10_000, 20_000],
  freeze: [20_000, 40_000],
  block: [20_000, 40_000],
} as const

const fateWeights: Record<Fate, number> = { good: 34, late: 26, deaf: 10, sick: 10, dead: 10, broken: 5, stuck: 5 }
const weights: Record<FaultFamily, number> = {
  ...{ kill: 30, stop: 9, point: 30, wire: 16, disk: 5, delivery: 6, terminate: 4, sick: 3 },
}

/** In the order of their time. Each kind has numbers of its own, so that leaving one out changes nothing of the others. */
export function makeSchedule({ seed, length, chosen }: ScheduleOptions): Planned[] {
  const moments = (kind: keyof typeof every, salt: number, make: (random: Random, at: number) => Planned | undefined) => {
    const random = createRandom(seed * 7919 + salt)
    const made: Planned[] = []
    const [from, below] = every[kind]
    for (let at = random.between(from, below); at < length; at += random.between(from, below)) {
      const one = make(random, at)
      if (one !== undefined) made.push(one)
    }
    return made
  }
  const makeFault = faultMaker(chosen)
  return [
    ...moments('push', 1, (random, at) => ({ at, do: 'push', ...makePush(random) })),
    ...personMoments(moments, chosen),
    ...moments('fault', 4, (random, at) => {
      const fault = makeFault(random)
      return fault === undefined ? undefined : { at, do: 'fault', fault }
    }),
  ].toSorted((a, b) => a.at - b.at)
}

type Moments = (
  kind: Exclude<keyof typeof every, 'push' | 'fault'>,
  salt: number,
  make: (random: Random, at: number) => Planned | undefined,
) => Planned[]

function personMoments(moments: Moments, chosen: ScheduleOptions['chosen']): Planned[] {
  const any = (random: Random, at: number) => ({ at, pick: random.next(), server: random.pick(serverNames) })
  const makers: Record<Parameters<Moments>[0], (random: Random, at: number) => PlannedPerson> = {
    cancel: (random, at) => ({ ...any(random, at), do: 'cancel' }),
    rollback: (random, at) => ({
      ...any(random, at),
      do: random.next() < 0.8 ? 'rollback' : 'deploy',
      environment: random.pick(environmentNames),
    }),
    retry: (random, at) => ({ ...any(random, at), do: 'retry', ...(random.next() < 0.4 ? { from: random.next() } : {}) }),
    freeze: (random, at) => ({
      ...any(random, at),
      do: 'freeze',
      environment: random.pick(environmentNames),
      forMs: random.between(2_000, 7_000),
    }),
    block: (random, at) => ({
      ...any(random, at),
      do: 'block',
      environment: random.pick(environmentNames),
      rollback: random.next() < 0.3,
      ...(random.next() < 0.6 ? { forMs: random.between(2_000, 12_000) } : {}),
    }),
  }
  const salts: Record<keyof typeof makers, number> = { cancel: 2, rollback: 3, retry: 5, freeze: 6, block: 7 }
  return personFamilies.flatMap((kind) => (chosen(kind) ? moments(kind, salts[kind], makers[kind]) : []))
}

/** How often a pipeline has each. */
const traitChances: Record<Trait, number> = { finally: 0.35, checkpoint: 0.2, handed: 0.25, flaky: 0.15, migrates: 0.35 }

function makePush(random: Random): PlannedPush {
  const branch = random.next() < 0.06 ? idleBranch : random.pick(branches)
  const fate = random.weighted(fateWeights)
  const first = random.pick(environmentNames)
  const second = random.pick(environmentNames)
  const environments = random.next() < 0.3 && second !== first ? [first, second] : [first]
  const isGroup = random.next() < 0.6
  const written: Written = {
    ...{ fate, environments, second: random.next() < 0.15, slow: random.next() < 0.15 },
    ...(isGroup && environments.length > 1 ? { atOnce: random.between(1, 3) } : {}),
    traits: traits.filter((trait) => random.next() < traitChances[trait]),
  }
  return { branch, written, server: random.pick(serverNames) }
}

/** Undefined if nothing is chosen that is a fault. */
function faultMaker(chosen: ScheduleOptions['chosen']): (random: Random) => PlannedFault | undefined {
  const among = <T extends string>(family: Family, names: readonly T[]) => names.filter((name) => chosen(`${family}:${name}`))
  const parts = { kill: among('kill', chaosParts), stop: among('stop', chaosParts) }
  const points = among(
    'point',
    faultPoints.map(({ name }) => name),
  )
  const breaks = wireBreaks.filter(({ wire, name }) => chosen(`wire:${wire}`) || chosen(`wire:${name}`))
  const disks = among('disk', diskNames)
  const hows = among('delivery', ['duplicate', 'old', 'reversed'] as const)
  const ends = among('terminate', ['run', 'environment'] as const)
  const any: Record<keyof typeof weights, boolean> = {
    ...{ kill: parts.kill.length > 0, stop: parts.stop.length > 0, point: points.length > 0, wire: breaks.length > 0 },
    ...{ disk: disks.length > 0, delivery: hows.length > 0, terminate: ends.length > 0, sick: chosen('sick') },
  }
  const possible: Partial<typeof weights> = Object.fromEntries(
    Object.entries(weights).filter(([family]) => any[family as keyof typeof any]),
  )
  if (Object.keys(possible).length === 0) return () => undefined
  const environment = (random: Random) => random.pick(environmentNames)
  return (random) => {
    const family = random.weighted(possible)
    switch (family) {
      case 'kill':
        return { family, part: random.pick(nonEmpty(parts.kill)), downMs: random.between(0, 2_500) }
      case 'stop':
        // Past the heartbeat of 10 s.
        return { family, part: random.pick(nonEmpty(parts.stop)), forMs: random.between(11_000, 14_000) }
      case 'point': {
        const name = random.pick(nonEmpty(points))
        const blows = faultPoints.find((point) => point.name === name)?.blows ?? ['kill']
        return { family, point: name, blow: random.pick(nonEmpty(blows)), downMs: random.between(0, 1_500) }
      }
      case 'wire':
        return {
          family,
          break: random.pick(nonEmpty(breaks)),
          forMs: random.between(3_000, 9_000),
          server: random.pick(serverNames),
        }
      case 'disk':
        return { family, disk: random.pick(nonEmpty(disks)), forMs: random.between(4_000, 9_000) }
      case 'delivery': {
        const how = random.pick(nonEmpty(hows))
        if (how === 'reversed') return { family, how, pushes: [makePush(random), makePush(random)] }
        return { family, how, pick: random.next(), server: random.pick(serverNames) }
      }
      case 'terminate': {
        const what = random.pick(nonEmpty(ends))
        if (what === 'run') return { family, what, pick: random.next() }
        return { family, what, environment: environment(random) }
      }
      case 'sick': {
        const name = environment(random)
        const push = makePush(random)
        const written: Written = { ...push.written, fate: 'deaf', environments: [name], slow: false }
        return { family, environment: name, forMs: random.between(3_000, 9_000), push: { ...push, written } }
      }
      default:
        return undefined
    }
  }
}

function nonEmpty<T>(items: readonly T[]): [T, ...T[]] {
  const [first, ...rest] = items
  if (first === undefined) throw new RangeError('there is nothing to choose from')
  return [first, ...rest]
}
