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

/** The secrets that may sign a project's hooks, and what could not be resolved. */
export async function resolveWebhookSecrets(
  yaml: PositionedYaml,
  context: ResolveContext,
): Promise<{ secrets: Map<string, string[]>; problems: ConfigProblem[] }> {
  const secrets = new Map<string, string[]>()
  const problems: ConfigProblem[] = []
  const projects = valueAt(yaml.data, ['projects'])
  for (const project of typeof projects === 'object' && projects !== null ? Object.keys(projects) : []) {
    const path = ['projects', project, 'webhook_secret']
    const written = valueAt(yaml.data, path)
    const paths: Path[] = Array.isArray(written) ? written.map((_, index) => [...path, index]) : [path]
    const values: string[] = []
    for (const reference of paths) {
      const resolved = await resolveReference(valueAt(yaml.data, reference), context)
      if (resolved === undefined) continue
      if ('value' in resolved) values.push(resolved.value)
      else problems.push({ ...yaml.positionOf(reference), path: reference.join('.'), ...resolved })
    }
    secrets.set(project, values)
  }
  return { secrets, problems }
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
