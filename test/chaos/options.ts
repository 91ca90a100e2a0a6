import { parseArgs } from 'node:util'
import { chaosParts, diskNames, families } from './schedule.ts'
import { faultPoints } from './points.ts'
import { wireBreaks } from './wires.ts'

export interface ChaosOptions {
  seed: number
  minutes: number
  /** As it was given. */
  faults: string
  chosen(name: string): boolean
  /** Absent: a new directory. */
  evidence?: string
}

export const usage = `usage: npm run chaos -- [--seed NUMBER] [--minutes NUMBER] [--faults LIST|all|none] [--evidence DIRECTORY]
faults: ${families.join(', ')}; one of a family, as in stop:temporal, wire:git, point:hook.persisted; -NAME leaves one out`

/** Throws what is wrong with them, with how they are written. */
export function parseOptions(args: string[]): ChaosOptions {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '2' },
      faults: { type: 'string', default: 'all' },
      evidence: { type: 'string' },
    },
  })
  const seed = Number(values.seed)
  const minutes = Number(values.minutes)
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`--seed is a whole number, not ${values.seed}`)
  if (!(minutes > 0 && minutes <= 24 * 60))
    throw new RangeError(`--minutes is more than 0 and at most 1440, not ${values.minutes}`)
  const { evidence } = values
  return { seed, minutes, faults: values.faults, chosen: chooser(values.faults), ...(evidence === undefined ? {} : { evidence }) }
}

/** `family:one` is chosen if the list has it, its family, a part of its name, or `all`, and leaves none of these out. */
function chooser(list: string): (name: string) => boolean {
  const words = list.split(',').map((word) => word.trim())
  const out = words.flatMap((word) => (word.startsWith('-') ? [word.slice(1)] : []))
  const into = words.filter((word) => !word.startsWith('-') && word !== 'none')
  const unknown = [...into, ...out].filter((word) => word !== 'all' && !knows(word))
  if (unknown.length > 0) throw new RangeError(`there is no fault ${unknown.join(', ')}`)
  const everything = into.includes('all') || (into.length === 0 && out.length > 0)
  return (name) =>
    !out.some((word) => covers(word, name)) && (everything || into.some((word) => covers(word, name) || covers(name, word)))
}

/** `kill` covers `kill:temporal`, `kill:server` covers `kill:server-a`, and each itself. */
function covers(word: string, name: string): boolean {
  return name === word || name.startsWith(`${word}:`) || (word.includes(':') && name.startsWith(word))
}

function knows(word: string): boolean {
  const names = [
    ...families,
    ...['kill', 'stop'].flatMap((family) => chaosParts.map((part) => `${family}:${part}`)),
    ...faultPoints.map(({ name }) => `point:${name}`),
    ...wireBreaks.flatMap(({ wire, name }) => [`wire:${wire}`, `wire:${name}`]),
    ...diskNames.map((name) => `disk:${name}`),
    ...['duplicate', 'old', 'reversed'].map((how) => `delivery:${how}`),
    ...['run', 'environment'].map((what) => `terminate:${what}`),
  ]
  return names.some((name) => covers(word, name))
}
