/** Turns `{ from_env }` and `{ from_file }` into values. No message ever holds one. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ConfigProblem } from './config-problem.ts'
import { valueAt } from './explain-issue.ts'
import type { Path, PositionedYaml } from './yaml-positions.ts'

export interface ResolveContext {
  env: NodeJS.ProcessEnv
  /** Relative paths are relative to the configuration file. */
  directory: string
}

/** Where the file may hold a reference, by the path of its key; `*` stands for any name. */
const referencePaths: readonly Path[] = [
  ['projects', '*', 'webhook_secret'],
  ['projects', '*', 'status_token'],
  ['registries', '*', 'password'],
  ['database', 'url'],
  ['encryption', 'key'],
]

export interface ResolvedReferences {
  /** The values at a path, several where a list of references is written; empty if nothing is. */
  at(...path: string[]): string[]
  problems: ConfigProblem[]
}

/** The values of all references of the file, and what could not be resolved. */
export async function resolveReferences(yaml: PositionedYaml, context: ResolveContext): Promise<ResolvedReferences> {
  const values = new Map<string, string[]>()
  const problems: ConfigProblem[] = []
  for (const path of referencePaths.flatMap((pattern) => expandPath(yaml.data, pattern))) {
    const written = valueAt(yaml.data, path)
    const paths: Path[] = Array.isArray(written) ? written.map((_, index) => [...path, index]) : [path]
    const found: string[] = []
    for (const reference of paths) {
      const resolved = await resolveReference(valueAt(yaml.data, reference), context)
      if (resolved === undefined) continue
      if ('value' in resolved) found.push(resolved.value)
      else problems.push({ ...yaml.positionOf(reference), path: reference.join('.'), ...resolved })
    }
    values.set(path.join('\0'), found)
  }
  return { at: (...path) => values.get(path.join('\0')) ?? [], problems }
}

function expandPath(data: unknown, pattern: Path): Path[] {
  const star = pattern.indexOf('*')
  if (star < 0) return [pattern]
  const map = valueAt(data, pattern.slice(0, star))
  const names = typeof map === 'object' && map !== null ? Object.keys(map) : []
  return names.map((name) => [...pattern.slice(0, star), name, ...pattern.slice(star + 1)])
}

type Resolved = { value: string } | { message: string; hint: string }

/** Undefined for what is no reference at all: the schema says so. */
async function resolveReference(reference: unknown, context: ResolveContext): Promise<Resolved | undefined> {
  const name = valueAt(reference, ['from_env'])
  if (typeof name === 'string') {
    const value = context.env[name]
    if (value) return { value }
    return { message: `the variable ${name} is not set`, hint: `Start Belay with ${name} in its environment.` }
  }
  const path = valueAt(reference, ['from_file'])
  if (typeof path !== 'string') return undefined
  const file = resolve(context.directory, path)
  try {
    const value = (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
    return value === '' ? { message: `the file ${file} is empty`, hint: 'Write the secret into it.' } : { value }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error'
    return { message: `the file ${file} cannot be read (${code})`, hint: 'Paths are relative to the configuration file.' }
  }
}
