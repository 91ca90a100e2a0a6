/** What the file says about its own other parts, checked on the plain data so that all problems are told at once. */
import type { ConfigProblem } from './config-problem.ts'
import { suggest, valueAt } from './explain-issue.ts'
import { formatAddress, parseAddress } from './scalars.ts'
import type { Path, PositionedYaml } from './yaml-positions.ts'

export function checkReferences(yaml: PositionedYaml): ConfigProblem[] {
  const names = (section: string) => Object.keys(mapAt(yaml.data, [section]))
  const check = (path: Path, kind: string, known: string[]): ConfigProblem[] => {
    const word = valueAt(yaml.data, path)
    if (typeof word !== 'string' || known.includes(word)) return []
    return [
      { ...yaml.positionOf(path), path: path.join('.'), message: `there is no ${kind} "${word}"`, hint: suggest(word, known) },
    ]
  }
  return [
    ...names('projects').flatMap((name) =>
      items(yaml, ['projects', name, 'environments']).flatMap((path) => check(path, 'environment', names('environments'))),
    ),
    ...names('secrets').flatMap((name) =>
      items(yaml, ['secrets', name, 'projects']).flatMap((path) => check(path, 'project', names('projects'))),
    ),
    ...names('environments').flatMap((name) =>
      Object.keys(mapAt(yaml.data, ['environments', name, 'env'])).flatMap((variable) => [
        ...check(['environments', name, 'env', variable, 'from_secret'], 'secret', names('secrets')),
        ...refuseOurVariables(yaml, ['environments', name, 'env', variable]),
      ]),
    ),
    ...names('projects').flatMap((name) => checkStatuses(yaml, name)),
    ...names('registries').flatMap((name) => checkCredentials(yaml, name)),
    ...names('environments').flatMap((name) => checkTarget(yaml, name)),
    ...checkAddresses(yaml, names('environments')),
  ]
}

function refuseOurVariables(yaml: PositionedYaml, path: Path): ConfigProblem[] {
  const variable = String(path.at(-1))
  if (variable !== 'PORT') return []
  const hint = 'Belay gives every instance a free port in PORT; take it out.'
  return [{ ...yaml.keyPositionOf(path), path: path.join('.'), message: 'PORT is not yours to set', hint }]
}

/** What only containers have is never accepted and ignored elsewhere. */
function checkTarget(yaml: PositionedYaml, name: string): ConfigProblem[] {
  const path = ['environments', name]
  const environment = mapAt(yaml.data, path)
  const engine = mapAt(yaml.data, [...path, 'engine'])
  const both = Object.hasOwn(engine, 'context') && Object.hasOwn(engine, 'host')
  const twice = both
    ? [
        {
          ...yaml.positionOf([...path, 'engine']),
          path: [...path, 'engine'].join('.'),
          message: 'name a context or a host, not both',
        },
      ]
    : []
  if (environment['target'] !== 'process') return twice
  return ['engine', 'instances', 'memory', 'pids']
    .filter((key) => Object.hasOwn(environment, key))
    .map((key) => ({
      ...yaml.keyPositionOf([...path, key]),
      path: [...path, key].join('.'),
      message: 'not yet for the target process',
      hint: `"${key}" is carried out by the target docker; take it out.`,
    }))
}

/** Settings of statuses that nobody would ever get. */
function checkStatuses(yaml: PositionedYaml, name: string): ConfigProblem[] {
  const project = mapAt(yaml.data, ['projects', name])
  const written = ['status_token', 'api_url'].filter((key) => Object.hasOwn(project, key))
  const refuse = (key: string, message: string, hint: string): ConfigProblem => {
    const path = ['projects', name, key]
    return { ...yaml.keyPositionOf(path), path: path.join('.'), message, hint }
  }
  if (project['forge'] === 'generic')
    return written.map((key) => refuse(key, 'the forge generic takes no commit statuses', `Take "${key}" out.`))
  if (!written.includes('status_token'))
    return written.map((key) => refuse(key, 'there is no status_token: nobody is told anything', 'Add one, or take it out.'))
  const repository = project['repository']
  if (typeof repository !== 'string' || /^(?:https?|ssh):\/\/[^/]+\/(?:.*\/)?[^/]+\/[^/]+$/.test(repository.replace(/\/+$/, '')))
    return []
  return [refuse('status_token', 'statuses need a repository with a host, an owner and a name', 'Take "status_token" out.')]
}

function checkCredentials(yaml: PositionedYaml, name: string): ConfigProblem[] {
  const registry = mapAt(yaml.data, ['registries', name])
  const missing = ['username', 'password'].filter((key) => !Object.hasOwn(registry, key))
  if (missing.length !== 1) return []
  const path = ['registries', name]
  const message = `${missing[0] ?? ''} is missing: a registry has both username and password, or neither`
  return [{ ...yaml.positionOf(path), path: path.join('.'), message }]
}

/** Everything listens at an address of its own. */
function checkAddresses(yaml: PositionedYaml, environments: string[]): ConfigProblem[] {
  const seen = new Map<string, string>()
  const paths: Path[] = [['listen'], ...environments.map((name) => ['environments', name, 'edge', 'listen'])]
  return paths.flatMap((path) => {
    const text = valueAt(yaml.data, path)
    const address = typeof text === 'string' ? parseAddress(text) : undefined
    if (address === undefined) return []
    const key = formatAddress(address)
    const first = seen.get(key)
    seen.set(key, first ?? path.join('.'))
    if (first === undefined) return []
    return [
      {
        ...yaml.positionOf(path),
        path: path.join('.'),
        message: `${first} listens at the same address`,
        hint: 'Choose another port.',
      },
    ]
  })
}

function items(yaml: PositionedYaml, path: Path): Path[] {
  const list = valueAt(yaml.data, path)
  return Array.isArray(list) ? list.map((_, index) => [...path, index]) : []
}

function mapAt(data: unknown, path: Path): Record<string, unknown> {
  const value = valueAt(data, path)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
