import type { Trigger } from '../domain/trigger.ts'
import { findNearestWord } from './nearest-word.ts'
import type { KeyPath, Places, Problem, ProblemText } from './problem.ts'
import { problemAtValue, quote } from './problem.ts'
import type { Tree } from './yaml-tree.ts'

/** What `${{ … }}` may name for now; the values are untrusted text and go nowhere near a shell. */
export const variableNames = ['sha', 'branch', 'branch_slug', 'event', 'actor'] as const
export type Variables = Readonly<Record<(typeof variableNames)[number], string>>

export function variablesOf(trigger: Trigger): Variables {
  const { sha, branch, event, actor } = trigger
  return { sha, branch, branch_slug: slugOf(branch), event, actor: actor.name }
}

/** Puts the values in. Every name in it is known: `checkExpressions` saw to that. */
export function expandTemplate(template: string, variables: Variables): string {
  return template.replace(expression, (whole, inner: string) => {
    const name = variableNames.find((candidate) => candidate === inner.trim())
    return name === undefined ? whole : variables[name]
  })
}

/** Every `${{` in the file stands where it is carried out, and names a variable. */
export function checkExpressions(places: Places, tree: Tree): Problem[] {
  return [...textsOf(tree, [])].flatMap(({ path, text }) =>
    explain(path, text).map((problem) => problemAtValue(places, path, problem)),
  )
}

/** A branch as part of a name: small letters, digits and `-`, at most 63. */
export function slugOf(branch: string): string {
  const slug = branch
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
  return slug.replace(/^-/, '').replace(/-$/, '')
}

/** No brace inside: the search never runs over the same text twice. */
const expression = /\$\{\{([^{}]*)\}\}/g
const laterNames = ['tag', 'base_branch', 'pr', 'changed_files', 'params', 'matrix', 'env', 'steps', 'project', 'run']

function* textsOf(tree: Tree, path: KeyPath): Generator<{ path: KeyPath; text: string }> {
  if (typeof tree === 'string') {
    if (tree.includes('${{')) yield { path, text: tree }
  } else if (tree !== null) {
    for (const [key, value] of Object.entries(tree)) yield* textsOf(value, [...path, Array.isArray(tree) ? Number(key) : key])
  }
}

function explain(path: KeyPath, text: string): ProblemText[] {
  if (isScript(path)) {
    const hint = 'a value reaches commands as a variable: use "$BELAY_SHA", "$BELAY_BRANCH" …, or `env`'
    return [{ code: 'expression', message: '`${{ }}` does not reach commands: text of others must not become a script', hint }]
  }
  if (!takesTemplate(path)) {
    const hint = 'carried out for now in `tags` of `build_image` and in `version` of `release`'
    return [{ code: 'not_yet', message: '`${{ }}` is not carried out here yet', hint }]
  }
  if (text.replace(expression, '').includes('${{')) return [{ code: 'expression', message: '`${{` is not closed by `}}`' }]
  return [...text.matchAll(expression)].flatMap(([, inner]) => explainName((inner ?? '').trim()))
}

function explainName(name: string): ProblemText[] {
  if ((variableNames as readonly string[]).includes(name)) return []
  const known = `carried out now: ${variableNames.join(', ')}`
  if (!/^\w+$/.test(name) || laterNames.includes(name)) {
    return [{ code: 'not_yet', message: `the expression ${quote(name)} is not carried out yet`, hint: known }]
  }
  const nearest = findNearestWord(name, variableNames)
  return [
    {
      code: 'expression',
      message: `unknown variable ${quote(name)}`,
      hint: nearest === undefined ? known : `did you mean "${nearest}"?`,
    },
  ]
}

function isScript(path: KeyPath): boolean {
  const keys = path.filter((part) => typeof part === 'string')
  return ['commands', 'script', 'run'].includes(keys.at(-1) ?? '') && keys.length > 2
}

function takesTemplate(path: KeyPath): boolean {
  const [root, , kind, key] = path
  return root === 'steps' && ((kind === 'build_image' && key === 'tags') || (kind === 'release' && key === 'version'))
}
