import { Composer, isAlias, isMap, isScalar, isSeq } from 'yaml'
import type { Alias, Document, ParsedNode, Scalar } from 'yaml'
import { planLimits } from '../domain/plan.ts'
import type { KeyPath, Places, Position, Problem, ProblemText } from './problem.ts'
import { quote, toProblem } from './problem.ts'
import { createPositions } from './text-positions.ts'
import { tokenize } from './yaml-tokens.ts'
import { explainYamlError } from './yaml-errors.ts'

/**
 * A file as plain maps, lists and texts. Every scalar is the text as it was written (`true`, `20.10` and `0x1f` stay
 * what they look like) or `null` where nothing was written. Keys are texts; `__proto__` is not among them.
 */
export type Tree = null | string | Tree[] | { [key: string]: Tree }

export interface ReadTree {
  tree: Tree
  places: Places
}

/** Reads YAML 1.2 within the limits: one document, no duplicate keys, no tags of its own. All mistakes at once. */
export function readTree(file: { path: string; text: string }): ReadTree | { problems: Problem[] } {
  const text = file.text.replace(/^\uFEFF/, '')
  const positionAt = createPositions(text)
  const report = (offset: number, problem: ProblemText) => toProblem(file.path, positionAt(offset), problem)
  const tokens = tokenize(text)
  if ('excess' in tokens) return { problems: [report(tokens.offset, tokens.excess)] }

  const [document, second] = [...new Composer({ uniqueKeys: false, prettyErrors: false }).compose(tokens.tokens)]
  const root = document?.contents ?? null
  const mistakes = [...(document?.errors ?? []), ...(document?.warnings ?? [])].slice(0, mostMistakes)
  const problems = mistakes.map((error) => report(error.pos[0], explainYamlError(error, text)))
  if (second !== undefined) {
    problems.push(
      report(second.range[0], { code: 'yaml', message: 'there is a second document', hint: 'one file holds one pipeline' }),
    )
  }
  if (problems.length > 0 || document === undefined || root === null) {
    if (problems.length === 0)
      problems.push(report(0, { code: 'yaml', message: 'the file is empty', hint: 'a pipeline needs `steps`' }))
    return { problems }
  }

  const reader = createReader(document, report)
  const tree = reader.read(root, 0)
  if (reader.problems.length > 0) return { problems: reader.problems }
  return { tree, places: createPlaces({ file: file.path, root, resolve: reader.resolve, positionAt }) }
}

/** More than this many mistakes of syntax say the same thing again. */
const mostMistakes = 50
/** Values that aliases may add. */
const mostAliased = 10_000

type Resolve = (node: unknown) => ParsedNode | null

function createReader(document: Document.Parsed, report: (offset: number, problem: ProblemText) => Problem) {
  const problems: Problem[] = []
  const resolved = new Map<Alias, ParsedNode | null>()
  let aliased = 0

  const resolve: Resolve = (node) => {
    if (!isAlias(node)) return (node ?? null) as ParsedNode | null
    if (!resolved.has(node)) resolved.set(node, (node.resolve(document) ?? null) as ParsedNode | null)
    return resolved.get(node) ?? null
  }

  const read = (node: unknown, depth: number, outermost?: number): Tree => {
    const target = resolve(node)
    const alias = outermost ?? (isAlias(node) ? offsetOf(node) : undefined)
    if (target === null) {
      if (isAlias(node)) problems.push(report(offsetOf(node), unknownAnchor(node.source)))
      return null
    }
    if (depth > planLimits.depth || (alias !== undefined && ++aliased > mostAliased)) {
      if (problems.length === 0)
        problems.push(report(alias ?? offsetOf(node), { code: 'too_many_aliases', message: 'aliases unfold to too much' }))
      return null
    }
    if (isScalar(target)) return scalarText(target)
    if (isSeq(target)) return target.items.map((item) => read(item, depth + 1, alias))
    return isMap(target) ? readMap(target.items, depth, alias) : null
  }

  const readMap = (items: readonly { key: unknown; value: unknown }[], depth: number, alias?: number): Tree => {
    const map: Record<string, Tree> = {}
    for (const item of items) {
      const key = keyText(item.key)
      const refusal = refuseKey(key, map)
      if (key === undefined || refusal !== undefined) {
        if (refusal !== undefined && problems.length < mostMistakes) problems.push(report(offsetOf(item.key), refusal))
        continue
      }
      map[key] = read(item.value, depth + 1, alias)
    }
    return map
  }

  return { problems, resolve, read }
}

function unknownAnchor(name: string): ProblemText {
  return { code: 'yaml', message: `no anchor &${name} stands above`, hint: 'a text that begins with `*` must be quoted' }
}

function refuseKey(key: string | undefined, map: object): ProblemText | undefined {
  if (key === undefined)
    return { code: 'yaml', message: 'a key must be plain text', hint: 'quote a value that begins with `{` or `[`' }
  if (key === '__proto__') return { code: 'unknown_key', message: 'the key "__proto__" is not taken' }
  if (key === '<<') return { code: 'yaml', message: 'merge keys (`<<`) are not read', hint: 'write the keys out' }
  if (Object.hasOwn(map, key)) return { code: 'duplicate_key', message: `the key ${quote(key)} is there twice` }
  return undefined
}

function createPlaces(options: {
  file: string
  root: ParsedNode
  resolve: Resolve
  positionAt: (offset: number) => Position
}): Places {
  const { file, root, resolve, positionAt } = options
  const find = (path: KeyPath) => {
    let found: { key: number; value: number } = { key: offsetOf(root), value: offsetOf(root) }
    let node = resolve(root)
    for (const part of path) {
      // A list of one may be written without its brackets: the map itself is its entry 0.
      if (isMap(node) && part === 0) continue
      if (isMap(node)) {
        const pair = node.items.find((item) => keyText(item.key) === part)
        if (pair === undefined) break
        const written = isEmpty(pair.value) ? pair.key : pair.value
        found = { key: offsetOf(pair.key), value: offsetOf(written) }
        node = resolve(pair.value)
      } else if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
        const offset = offsetOf(node.items[part])
        found = { key: offset, value: offset }
        node = resolve(node.items[part])
      } else break
    }
    return found
  }
  return { file, ofKey: (path) => positionAt(find(path).key), ofValue: (path) => positionAt(find(path).value) }
}

/** `key:` with nothing behind it: there is only the key to point at. */
function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (isScalar(value) && value.range?.[0] === value.range?.[1])
}

function scalarText(scalar: Scalar): string | null {
  if (scalar.value === null) return null
  return typeof scalar.value === 'string' ? scalar.value : (scalar.source ?? '')
}

function keyText(key: unknown): string | undefined {
  return isScalar(key) ? (scalarText(key) ?? undefined) : undefined
}

function offsetOf(node: unknown): number {
  return isAlias(node) || isScalar(node) || isMap(node) || isSeq(node) ? (node.range?.[0] ?? 0) : 0
}
