import { validatePipeline } from '../../pipeline/validate.ts'
import { examine, type Examined } from './examine.ts'
import { treeOf, type Tree } from './tree.ts'
import { writePipeline } from './write-pipeline.ts'

/** A tree of these files: for tests. */
export function treeWith(files: Readonly<Record<string, string>>): Tree {
  const known = new Map(Object.entries(files))
  return treeOf([...known.keys()], (path) => known.get(path))
}

export interface Tried extends Examined {
  text: string
  /** Step → its command lines, as the pipeline language reads them. */
  read: Record<string, readonly string[]>
}

/** What init makes of these files. Throws with the problems and the text if that is no valid pipeline. */
export function tryInit(files: Readonly<Record<string, string>>, options: { branch?: string; ci?: boolean } = {}): Tried {
  const branch = options.branch ?? 'main'
  const examined = examine(treeWith(files), { branch, ci: options.ci ?? true })
  const text = writePipeline({ ...examined, branch })
  return { ...examined, text, read: examined.steps.length === 0 ? {} : readSteps(text) }
}

/** Throws with the problems if it is no valid pipeline. */
export function readSteps(text: string): Record<string, readonly string[]> {
  const result = validatePipeline({ path: '.belay.yml', text })
  if ('problems' in result) throw new Error(`${JSON.stringify(result.problems)}\n${text}`)
  return Object.fromEntries(
    result.document.steps.map(({ id, body }) => [id, body.kind === 'commands' ? body.lines : [`(${body.kind})`]]),
  )
}
