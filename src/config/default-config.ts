/** What `belay up` does without a configuration: the repository it stands in becomes a project, polled where it lies. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isMap, isScalar, isSeq, parseDocument, visit } from 'yaml'
import { BelayError } from '../domain/errors.ts'
import type { EnvironmentConfig } from './config.ts'
import type { LoadedConfig } from './load-config.ts'

const firstEdgePort = 9080

export async function defaultConfig(cwd: string): Promise<LoadedConfig> {
  const root = findRepository(cwd)
  if (root === undefined) {
    throw new BelayError({
      code: 'invalid_config',
      message: `there is no belay.config.yml here, and ${resolve(cwd)} is not in a Git repository`,
      hint: 'Go into a repository, or name a configuration with --config.',
    })
  }
  const name = projectNameOf(root)
  const names = await listEnvironments(root)
  const environments = names.map((environment, index) => defaultEnvironment(environment, firstEdgePort + index))
  return {
    config: {
      data: join(root, '.belay'),
      listen: { host: '127.0.0.1', port: 8080 },
      publicUrl: 'http://127.0.0.1:8080',
      projects: {
        [name]: {
          name,
          repository: pathToFileURL(root).href,
          forge: 'github',
          webhookSecrets: [],
          pollMs: 5000,
          isolation: 'process',
          environments: names,
        },
      },
      environments: Object.fromEntries(environments.map((environment) => [environment.name, environment])),
      secrets: {},
      runners: { slots: 2, labels: [] },
      registries: {},
    },
    assumptions: [
      `project "${name}" is the Git repository ${root}, looked at every 5 s; new commits on its branches are run`,
      ...environments.map(
        ({ name: environment, edge }) => `environment "${environment}" is local, at http://127.0.0.1:${String(edge.port)}`,
      ),
      'hooks are refused: there is no webhook_secret',
    ],
  }
}

function defaultEnvironment(name: string, port: number): EnvironmentConfig {
  return {
    name,
    target: 'process',
    edge: { driver: 'embedded', host: '127.0.0.1', port },
    health: { http: '/healthz', intervalMs: 2000, healthyAfter: 1, unhealthyAfter: 3, timeoutMs: 60_000 },
    env: {},
  }
}

/** The nearest directory upwards that holds `.git` (a directory, or the file of a worktree). */
function findRepository(cwd: string): string | undefined {
  let directory = resolve(cwd)
  while (!existsSync(join(directory, '.git'))) {
    if (dirname(directory) === directory) return undefined
    directory = dirname(directory)
  }
  return directory
}

function projectNameOf(root: string): string {
  const slug = basename(root)
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^[-_]+|-+$/g, '')
  return slug.slice(0, 63) || 'project'
}

/** The environments that the pipelines in the working tree deploy to, in the order in which they are named. */
async function listEnvironments(root: string): Promise<string[]> {
  const found = new Set<string>()
  for (const file of await listPipelineFiles(root)) {
    // Errors of the pipeline are told where it is used; what can be read of it is enough here.
    const document = parseDocument(await readFile(file, 'utf8'), { prettyErrors: false })
    visit(document, {
      Pair(_, { key, value }) {
        if (!isScalar(key) || key.value !== 'deploy' || !isMap(value)) return
        const one = value.get('environment')
        const several = value.get('environments')
        for (const name of [
          one,
          ...(isSeq(several) ? several.items.map((item) => (isScalar(item) ? item.value : undefined)) : []),
        ]) {
          if (typeof name === 'string' && /^[a-z0-9][a-z0-9_-]{0,62}$/.test(name)) found.add(name)
        }
      },
    })
  }
  return [...found]
}

async function listPipelineFiles(root: string): Promise<string[]> {
  const single = join(root, '.belay.yml')
  const directory = join(root, '.belay')
  const several = existsSync(directory) ? await readdir(directory) : []
  return [
    ...(existsSync(single) ? [single] : []),
    ...several
      .filter((file) => file.endsWith('.yml'))
      .sort()
      .map((file) => join(directory, file)),
  ]
}
