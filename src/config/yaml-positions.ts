import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import { messageOf } from '../domain/errors.ts'
import type { ConfigProblem } from './config-problem.ts'

export type Path = readonly (string | number)[]

/** A YAML text as plain data, with the place of every key and value. */
export interface PositionedYaml {
  data: unknown
  /** Where the value stands; for one that is missing, its nearest written parent's key. */
  positionOf(path: Path): { line: number; column: number }
  /** Where the last key of the path stands. */
  keyPositionOf(path: Path): { line: number; column: number }
}

const limits = { bytes: 1024 * 1024, aliases: 50 }

/** The document, or every syntax error in it. Never throws. */
export function parseYaml(text: string): PositionedYaml | ConfigProblem[] {
  if (Buffer.byteLength(text) > limits.bytes) return [wholeFile('is over 1 MiB')]
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  if (document.errors.length > 0) {
    return document.errors.map((error) => ({ ...at(error.pos[0]), path: '', message: error.message, hint: hintFor(error.code) }))
  }
  if (document.contents === null) return [wholeFile('is empty')]
  try {
    const data: unknown = document.toJS({ maxAliasCount: limits.aliases })
    return {
      data,
      positionOf: (path) => at(findOffset(document, path, 'value')),
      keyPositionOf: (path) => at(findOffset(document, path, 'key')),
    }
  } catch (error) {
    return [wholeFile(messageOf(error))]
  }
}

function wholeFile(message: string): ConfigProblem {
  return { line: 1, column: 1, path: '', message }
}

function hintFor(code: string): string | undefined {
  if (code === 'TAB_AS_INDENT') return 'Indent with spaces.'
  if (code === 'DUPLICATE_KEY') return 'A key may be written once; merge the two.'
  return undefined
}

/** Goes down as far as the path is written; what is missing stands where its parent's key does. */
function findOffset(document: Document, path: Path, want: 'key' | 'value'): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [depth, part] of path.entries()) {
    const last = depth === path.length - 1
    if (isMap(node)) {
      const pair = node.items.find((item) => nameOf(item) === String(part))
      if (pair === undefined) return offset
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(part)]
      if (item === undefined) return offset
      offset = startOf(item) ?? offset
      node = item
    } else {
      return offset
    }
    if (last && want === 'value') return startOf(node) ?? offset
  }
  return offset
}

function nameOf(pair: unknown): string | undefined {
  if (!isPair(pair)) return undefined
  const { key } = pair
  return isScalar(key) ? String(key.value) : undefined
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0]
}
