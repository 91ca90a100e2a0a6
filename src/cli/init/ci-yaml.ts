/** Other people's CI files: read as far as they can be read, within the limits of our own, and never trusted. */
import { Composer, isAlias, Scalar, visit, type Document } from 'yaml'
import { tokenize } from '../../pipeline/yaml-tokens.ts'

/** All scalars as text, as they are written. */
export type Yaml = string | Yaml[] | Map<unknown, Yaml>

/** What stands for a value under a tag: it means something that is not known here. No command may hold it. */
export const foreignMark = '\0'

/** The first document; undefined if it is none, or goes beyond the limits of a pipeline file. */
export function readYaml(text: string): Yaml | undefined {
  const read = tokenize(text)
  if ('excess' in read) return undefined
  const composer = new Composer({ schema: 'failsafe', merge: true, uniqueKeys: false, logLevel: 'silent' })
  for (const document of composer.compose(read.tokens)) {
    return document.errors.length > 0 ? undefined : toPlain(document)
  }
  return undefined
}

function toPlain(document: Document): Yaml | undefined {
  visit(document, {
    Node(_, node) {
      if (isAlias(node) || node.tag === undefined || node.tag.startsWith('tag:yaml.org,2002:')) return undefined
      return new Scalar(foreignMark)
    },
  })
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount: 100 }) as Yaml
  } catch {
    // Aliases that unfold to too much, or to themselves: nothing that a CI file needs.
    return undefined
  }
}

const nothing: ReadonlyMap<unknown, Yaml> = new Map()

export function mapIn(value: Yaml | undefined): ReadonlyMap<unknown, Yaml> {
  return value instanceof Map ? value : nothing
}

export function textIn(value: Yaml | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A text, or the texts of a list and of the lists in it. */
export function textsIn(value: Yaml | undefined, depth = 0): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value]
  return Array.isArray(value) && depth < 10 ? value.flatMap((item) => textsIn(item, depth + 1)) : []
}

/** The pairs whose key is text, in their order. */
export function entriesIn(value: Yaml | undefined): [string, Yaml][] {
  return [...mapIn(value)].flatMap(([key, item]): [string, Yaml][] => (typeof key === 'string' ? [[key, item]] : []))
}
