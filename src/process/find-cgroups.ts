/** What this machine allows of cgroups: Linux's groups of processes that nothing leaves by forking. Looks, and changes nothing. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { messageOf } from '../domain/errors.ts'

/** One mounted hierarchy, at the group that this process is in. */
export interface Hierarchy {
  version: 1 | 2
  /** Absolute path of our own group; those that we make lie below it, and so within whatever limits hold for us. */
  directory: string
  /** E.g. `memory`, `pids`. Of version 2: what may be passed on to groups below. */
  controllers: readonly string[]
}

export interface Cgroups {
  /** By what is mounted; `none`: steps can be grouped by nothing. */
  kind: 'v2' | 'v1' | 'hybrid' | 'none'
  /** By which a step is killed as a whole. */
  kill?: Hierarchy
  /** By which it is limited; absent: it cannot be. */
  memory?: Hierarchy
  pids?: Hierarchy
  /** Why something is absent, in one phrase each. */
  obstacles: readonly string[]
}

/** Our processes are moved there where a group with limits below it may hold none itself. */
export const selfName = 'belay-self'

export function findCgroups(): Cgroups {
  if (process.platform !== 'linux') return { kind: 'none', obstacles: ['only Linux has cgroups'] }
  try {
    return judge(parseHierarchies(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8')))
  } catch (error) {
    return { kind: 'none', obstacles: [messageOf(error)] }
  }
}

function judge(found: readonly Hierarchy[]): Cgroups {
  const obstacles: string[] = []
  const usable = found.filter((hierarchy) => {
    const obstacle = findObstacle(hierarchy)
    if (obstacle !== undefined) obstacles.push(obstacle)
    return obstacle === undefined
  })
  const unified = usable.find(({ version }) => version === 2)
  const by = (controller: string) => usable.find(({ controllers }) => controllers.includes(controller))
  const kill = unified ?? by('freezer') ?? by('pids')
  if (kill === undefined) return { kind: 'none', obstacles: found.length === 0 ? ['no cgroups are mounted'] : obstacles }
  const versions = new Set(found.filter(isOfUse).map(({ version }) => version))
  const limits = { memory: by('memory'), pids: by('pids') }
  for (const [name, hierarchy] of Object.entries(limits)) {
    if (hierarchy === undefined) obstacles.push(`the controller ${name} is not there for us`)
  }
  return {
    kind: versions.size === 2 ? 'hybrid' : versions.has(2) ? 'v2' : 'v1',
    kill,
    ...(limits.memory === undefined ? {} : { memory: limits.memory }),
    ...(limits.pids === undefined ? {} : { pids: limits.pids }),
    obstacles,
  }
}

function isOfUse({ version, controllers }: Hierarchy): boolean {
  return version === 2 || ['memory', 'pids', 'freezer'].some((name) => controllers.includes(name))
}

/** Undefined if groups can be made below it, and we can move into them. */
function findObstacle(hierarchy: Hierarchy): string | undefined {
  if (!isOfUse(hierarchy)) return undefined
  const { directory } = hierarchy
  try {
    for (const file of [directory, join(directory, 'cgroup.procs')]) accessSync(file, constants.W_OK)
    return undefined
  } catch {
    return `${directory} cannot be written to`
  }
}

/** Formats: proc(5), `mountinfo` and `cgroup`. What is mounted without our own group in it is left out. */
export function parseHierarchies(mountinfo: string, own: string): Hierarchy[] {
  const groups = own
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, controllers = '', ...path] = line.split(':')
      return { controllers: controllers.split(',').filter((name) => name !== ''), path: path.join(':') }
    })
  return mountinfo.split('\n').flatMap((line): Hierarchy[] => {
    const [left = '', right = ''] = line.split(' - ')
    const [, , , root = '', place = ''] = left.split(' ').map(unescape)
    const [type, , superOptions = ''] = right.split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') return []
    const options = superOptions.split(',')
    const group = groups.find(({ controllers }) =>
      type === 'cgroup2' ? controllers.length === 0 : controllers.some((name) => options.includes(name)),
    )
    const below = group === undefined ? '..' : relative(root, group.path)
    if (group === undefined || below.startsWith('..')) return []
    const directory = join(place, below)
    return [type === 'cgroup2' ? unifiedAt(directory) : { version: 1, directory, controllers: group.controllers }]
  })
}

/** Our own group may be the one that we were moved to: its parent is then the one that we were given. */
function unifiedAt(own: string): Hierarchy {
  const directory = own.endsWith(`/${selfName}`) ? dirname(own) : own
  const file = join(directory, 'cgroup.controllers')
  const controllers = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ') : []
  return { version: 2, directory, controllers: controllers.filter((name) => name !== '') }
}

/** Spaces and the like stand as octal numbers there. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** For people: what a step gets here. */
export function describeCgroups({ kind, memory, pids, obstacles }: Cgroups): string {
  const why = obstacles.length === 0 ? '' : ` (${obstacles.join('; ')})`
  if (kind === 'none') return `none${why}: a step is a process group, and what leaves it is found by its environment`
  const limits = [memory === undefined ? [] : ['memory'], pids === undefined ? [] : ['pids']].flat()
  return `${kind}: a group for each step, killed as a whole; limits of ${limits.length === 0 ? `nothing${why}` : limits.join(' and ')}`
}
