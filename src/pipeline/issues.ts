import type { z } from 'zod'
import { suggestWord } from './nearest-word.ts'
import type { KeyPath, Places, Problem, ProblemText } from './problem.ts'
import { problemAtKey, problemAtValue, quote } from './problem.ts'
import { knownKeys } from './schema.ts'
import type { IssueParams } from './schema-values.ts'
import { vocabulary } from './vocabulary.ts'

type Issue = z.core.$ZodIssue

/** What the schema said, as problems with their places. `base` is the path of what was checked. */
export function problemsOfIssues(places: Places, base: KeyPath, issues: readonly Issue[]): Problem[] {
  return issues.flatMap((issue) => problemsOf(places, [...base, ...keyPathOf(issue.path)], issue))
}

/** More unknown keys than this in one map say the same thing again. */
const mostKeys = 50

function problemsOf(places: Places, path: KeyPath, issue: Issue): Problem[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, mostKeys).map((key) => problemAtKey(places, [...path, key], explainKey(path, key)))
    case 'invalid_union': {
      const branch = issue.errors.find(
        (issues) => !issues.some((inner) => inner.code === 'invalid_type' && inner.path.length === 0),
      )
      return branch === undefined ? [mustBe(places, path, issue)] : problemsOfIssues(places, path, branch)
    }
    case 'invalid_key':
      return issue.issues.map((inner) => problemAtKey(places, path, explainValue(path, inner, 'the key ')))
    default:
      return [mustBe(places, path, issue)]
  }
}

function mustBe(places: Places, path: KeyPath, issue: Issue): Problem {
  if (issue.code === 'invalid_type' && issue.input === undefined && typeof path.at(-1) === 'string' && isMissing(issue)) {
    const message = `${labelOf(path.slice(0, -1))} needs the key ${quote(String(path.at(-1)))}: ${issue.message}`
    return problemAtKey(places, path.slice(0, -1), { code: 'missing_key', message })
  }
  return problemAtValue(places, path, explainValue(path, issue))
}

/** Zod leaves the input out of its issues unless asked; `reportInput` is on, so an absent one was not there. */
function isMissing(issue: Issue): boolean {
  return 'input' in issue ? issue.input === undefined : true
}

function explainValue(path: KeyPath, issue: Issue, prefix = ''): ProblemText {
  if (issue.code === 'custom' && issue.params !== undefined && 'code' in issue.params) {
    const { code, hint } = issue.params as IssueParams
    return { code, message: issue.message, hint }
  }
  return { code: 'invalid_value', message: `${prefix}${labelOf(path)} must be ${issue.message}`, hint: habitOfValue(path, issue) }
}

/** Known mistakes of shape that a type alone does not explain. */
function habitOfValue(path: KeyPath, issue: Issue): string | undefined {
  const place = placeOf(path)
  const received = 'input' in issue ? issue.input : undefined
  if (place === 'stages' && typeof received === 'object') return 'list the names: stages: [build, test, ship]'
  if (place.endsWith('.needs') && typeof received === 'string') return `put brackets around it: needs: [${received}]`
  if (place.endsWith('.needs.*') && typeof received === 'object') return 'optional needs are not carried out yet; name the step'
  if (place === 'steps.*' && (typeof received === 'string' || Array.isArray(received)))
    return 'say `commands: […]` below the name of the step'
  if (/\.(commands|script|run)\.\*$/.test(place) && typeof received === 'object') {
    return received === null ? 'the line is empty' : 'a command with ": " in it must be quoted, or written below `- |`'
  }
  if (place.endsWith('.undo')) return 'say `undo: { commands: […] }`'
  if (received === null) return 'nothing is written there'
  return undefined
}

function explainKey(path: KeyPath, key: string): ProblemText {
  const place = placeOf(path)
  const words = vocabulary[place]
  const habit = words?.habits !== undefined && Object.hasOwn(words.habits, key) ? words.habits[key] : undefined
  if (habit !== undefined) return { code: 'unknown_key', message: `unknown key ${quote(key)} in ${labelOf(path)}`, hint: habit }
  if (words?.notYet?.includes(key) === true) {
    return {
      code: 'not_yet',
      message: `${quote(key)} is not carried out yet`,
      hint: 'take it out; nothing is accepted and then ignored',
    }
  }
  const known = knownKeys[place] ?? []
  return {
    code: 'unknown_key',
    message: `unknown key ${quote(key)} in ${labelOf(path)}`,
    hint:
      suggestWord(key, [...known, ...(words?.notYet ?? [])]) ??
      (known.length === 0 ? undefined : `known here: ${known.join(', ')}`),
  }
}

/** `['steps', 'unit', 'retry']` → `steps.*.retry`; the alternatives of a `when` lie in the same place as one alone. */
function placeOf(path: KeyPath): string {
  const parts = path.map((part, index) => {
    if (typeof part === 'number') return '*'
    return index === 1 && (path[0] === 'steps' || path[0] === 'finally') ? '*' : part
  })
  const place = parts.join('.').replace(/(^|\.)when\.\*$/, '$1when')
  return parts.at(-2) === 'env' ? 'env.*' : place
}

/** What a reader calls the value at that path. */
function labelOf(path: KeyPath): string {
  const key = path.findLast((part) => typeof part === 'string')
  if (key === undefined) return 'the pipeline'
  const isStep = path.length === 2 && (path[0] === 'steps' || path[0] === 'finally')
  const label = isStep ? `step ${quote(key)}` : quote(key)
  return typeof path.at(-1) === 'number' ? `an entry of ${label}` : label
}

function keyPathOf(path: readonly PropertyKey[]): KeyPath {
  return path.map((part) => (typeof part === 'symbol' ? String(part) : part))
}
