/** From what zod says to what a person reads. Values are never repeated: any of them may be a secret in the wrong place. */
import type { z } from 'zod'
import type { ConfigProblem } from './config-problem.ts'
import { knownKeys } from './config-schema.ts'
import { findNearest } from './nearest-word.ts'
import { keysNotYet, patternOf, valuesNotYet } from './not-yet.ts'
import type { Path, PositionedYaml } from './yaml-positions.ts'

type Issue = z.core.$ZodIssue

export function explainIssue(issue: Issue, yaml: PositionedYaml): ConfigProblem[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
  const here = { ...yaml.positionOf(path), path: path.join('.') }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => explainKey([...path, key], yaml))
    case 'invalid_key':
      return [{ ...yaml.keyPositionOf(path), path: here.path, message: issue.issues[0]?.message ?? 'not a name' }]
    case 'invalid_value':
      return [{ ...here, ...explainValue(path, issue.values.map(String), yaml) }]
    case 'invalid_type':
      return [
        isMissing(path, yaml)
          ? explainMissing(path, yaml)
          : { ...here, message: `expected ${kindOf(issue.expected, issue.message)}` },
      ]
    case 'custom':
      return [{ ...here, message: issue.message, hint: hintOf(issue.params) }]
    case 'invalid_union':
      return [isMissing(path, yaml) ? explainMissing(path, yaml) : { ...here, message: issue.message, hint: unionHint(path) }]
    default:
      return [{ ...here, message: issue.message }]
  }
}

function explainKey(path: Path, yaml: PositionedYaml): ConfigProblem {
  const here = { ...yaml.keyPositionOf(path), path: path.join('.') }
  const pattern = patternOf(path.slice(0, -1))
  const key = String(path.at(-1))
  const later = keysNotYet[pattern] ?? []
  if (later.includes(key))
    return { ...here, message: 'not yet', hint: `This Belay does not carry out "${key}" yet; take it out.` }
  return { ...here, message: 'unknown key', hint: suggest(key, [...(knownKeys[pattern] ?? []), ...later]) }
}

function explainValue(path: Path, allowed: string[], yaml: PositionedYaml): Pick<ConfigProblem, 'message' | 'hint'> {
  const found = valueAt(yaml.data, path)
  if (found === undefined) return { message: `missing; one of ${allowed.join(', ')}` }
  const later = valuesNotYet[patternOf(path)] ?? []
  if (typeof found === 'string' && later.includes(found)) {
    return { message: 'not yet', hint: `This Belay does not carry out "${found}" yet; it knows ${allowed.join(', ')}.` }
  }
  return {
    message: `expected ${allowed.join(', ')}`,
    hint: typeof found === 'string' ? suggest(found, [...allowed, ...later]) : undefined,
  }
}

/** The nearest word, if there is one; otherwise all of them. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const nearest = findNearest(word, known)
  if (nearest !== undefined) return `Did you mean "${nearest}"?`
  return known.length === 0 ? undefined : `Known here: ${known.join(', ')}.`
}

function explainMissing(path: Path, yaml: PositionedYaml): ConfigProblem {
  return { ...yaml.positionOf(path), path: path.join('.'), message: 'missing' }
}

function isMissing(path: Path, yaml: PositionedYaml): boolean {
  return valueAt(yaml.data, path) === undefined
}

export function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => {
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined
  }, data)
}

function kindOf(expected: string, message: string): string {
  if (message.startsWith('expected ')) return message.slice('expected '.length)
  return (
    { record: 'a map', object: 'a map', array: 'a list', string: 'text', int: 'a whole number', number: 'a number' }[expected] ??
    expected
  )
}

function unionHint(path: Path): string | undefined {
  if (path[2] === 'webhook_secret')
    return 'A secret is never written here: { from_env: NAME } or { from_file: path }, or a list of these.'
  return undefined
}

function hintOf(params: Record<string, unknown> | undefined): string | undefined {
  const hint = params?.['hint']
  return typeof hint === 'string' ? hint : undefined
}
