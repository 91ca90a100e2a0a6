/** A cgroup for each step: whatever it forks stays in it, is counted with it, and is killed with it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { BelayError, messageOf } from '../domain/errors.ts'
import { allMembersOf, childrenOf, endDirectory, killDirectory, membersOf, removeIfEmpty } from './cgroup-files.ts'
import { findStruck, setLimits, type StepLimits, type StruckLimit } from './cgroup-limits.ts'
import { selfName, type Cgroups, type Hierarchy } from './find-cgroups.ts'

/** One group. All of it may be called after `end`, and does nothing then. */
export interface StepGroup {
  /** Puts a process, and whatever it starts from then on, into the group. Throws `unavailable`. */
  add(pid: number): void
  /** Pids in it now, zombies left out. */
  members(): number[]
  /** SIGKILL to all of it, until nothing is left; what forks meanwhile is killed too. */
  kill(): Promise<void>
  /** The limits that were reached so far, in words for people. */
  struckLimits(): StruckLimit[]
  /** Kills what is left, and removes the group. */
  end(): Promise<void>
}

export interface StepGroups {
  /** The groups that hold those of the steps, one in each hierarchy that is used. */
  readonly parents: readonly string[]
  /** `name` is a file name, used once. Throws `unavailable`. */
  create(name: string): StepGroup
  /** Ends all groups whose names begin like this. */
  endAll(prefix: string): Promise<void>
  /** Removes the parents; what is not empty stays. */
  close(): void
}

export interface StepGroupsOptions {
  cgroups: Cgroups
  /** Twelve hex digits that no other Belay of this machine has. */
  id: string
  limits: StepLimits
}

/**
 * Undefined where there are no cgroups and no limits are asked for. Throws `missing_part` where a limit cannot be kept: it
 * would be ignored otherwise.
 */
export function openStepGroups({ cgroups, id, limits }: StepGroupsOptions): StepGroups | undefined {
  refuseLimits(cgroups, limits)
  if (cgroups.kill === undefined) return undefined
  const wanted = [
    cgroups.kill,
    ...(limits.memoryBytes === undefined ? [] : [cgroups.memory]),
    ...(limits.pids === undefined ? [] : [cgroups.pids]),
  ].filter((hierarchy) => hierarchy !== undefined)
  const hierarchies = wanted.filter(
    ({ directory }, index) => wanted.findIndex((other) => other.directory === directory) === index,
  )
  const parents = hierarchies.map((hierarchy) => makeParent(hierarchy, id, limits))
  return {
    parents,
    create: (name) =>
      createGroup(
        parents.map((parent) => join(parent, name)),
        limits,
      ),
    endAll: async (prefix) => await endGroups(parents, prefix),
    close() {
      for (const parent of parents) removeIfEmpty(parent)
    },
  }
}

/** Throws `missing_part` if this machine cannot keep to them. */
export function refuseLimits(cgroups: Cgroups, limits: StepLimits): void {
  const asked = { memory: limits.memoryBytes, pids: limits.pids }
  for (const name of ['memory', 'pids'] as const) {
    if (asked[name] !== undefined && cgroups[name] === undefined) throw notEnforced(name, cgroups.obstacles.join('; '))
  }
}

function notEnforced(name: 'memory' | 'pids', why: string, cause?: unknown): BelayError {
  return new BelayError({
    code: 'missing_part',
    message: `a limit of ${name} for steps cannot be enforced here: ${why === '' ? 'no such cgroup controller' : why}`,
    hint: 'Start Belay as root, or in a cgroup of its own that is delegated to it (systemd: Delegate=yes); or take the limit out of `runners`.',
    cause,
  })
}

export function parentName(id: string): string {
  return `belay-${id}`
}

/** Ends the groups below these parents, those of an earlier life as well, by the beginning of their names. Gone already: fine. */
export async function endGroups(parents: readonly string[], prefix = ''): Promise<void> {
  const groups = listGroups(parents).filter((group) => basename(group).startsWith(prefix))
  await Promise.all(groups.map(endDirectory))
}

/** Absolute paths of the groups below these parents. */
export function listGroups(parents: readonly string[]): string[] {
  return parents.flatMap(childrenOf)
}

function makeParent(hierarchy: Hierarchy, id: string, limits: StepLimits): string {
  const parent = join(hierarchy.directory, parentName(id))
  try {
    mkdirSync(parent, { recursive: true })
    if (hierarchy.version === 2) passOn(hierarchy, parent, limits)
    return parent
  } catch (error) {
    if (error instanceof BelayError) throw error
    throw unavailable(parent, error)
  }
}

/** Version 2: a group has a controller only if all above it pass it on, and one that does so may hold no process itself. */
function passOn(hierarchy: Hierarchy, parent: string, limits: StepLimits): void {
  const names = [limits.memoryBytes === undefined ? [] : ['memory'], limits.pids === undefined ? [] : ['pids']]
  const wanted = names.flat().filter((name) => hierarchy.controllers.includes(name))
  if (wanted.length === 0) return
  const line = wanted.map((name) => `+${name}`).join(' ')
  try {
    for (let tries = 0; ; tries += 1) {
      try {
        writeFileSync(join(hierarchy.directory, 'cgroup.subtree_control'), line)
        break
      } catch (error) {
        if (!hasErrno(error, 'EBUSY') || tries === 10) throw error
        moveAside(hierarchy.directory)
      }
    }
    writeFileSync(join(parent, 'cgroup.subtree_control'), line)
  } catch (error) {
    throw notEnforced(wanted[0] === 'memory' ? 'memory' : 'pids', `${hierarchy.directory}: ${messageOf(error)}`, error)
  }
}

function moveAside(directory: string): void {
  const self = join(directory, selfName)
  mkdirSync(self, { recursive: true })
  for (const pid of membersOf(directory)) writeFileSync(join(self, 'cgroup.procs'), String(pid))
}

function createGroup(directories: readonly string[], limits: StepLimits): StepGroup {
  for (const directory of directories) {
    try {
      mkdirSync(directory)
      setLimits(directory, limits)
    } catch (error) {
      for (const made of directories) removeIfEmpty(made)
      throw unavailable(directory, error)
    }
  }
  let before: StruckLimit[] | undefined
  const findAll = () => directories.flatMap((directory) => findStruck(directory, limits))
  const members = () => [...new Set(directories.flatMap(allMembersOf))]
  return {
    members,
    add(pid) {
      for (const directory of directories) {
        try {
          writeFileSync(join(directory, 'cgroup.procs'), String(pid))
        } catch (error) {
          throw unavailable(directory, error)
        }
      }
    },
    async kill() {
      if (members().length === 0) return
      // A kill may forbid to fork, which then counts like a limit that was reached.
      before ??= findAll()
      // The first is the one to kill by; in the others there is something only if it has left that one.
      for (const directory of directories) await killDirectory(directory)
    },
    struckLimits: () => before ?? findAll(),
    async end() {
      for (const directory of directories) await endDirectory(directory)
    },
  }
}

function unavailable(directory: string, cause: unknown): BelayError {
  return new BelayError({
    code: 'unavailable',
    message: `the cgroup ${directory} cannot be used: ${messageOf(cause)}`,
    hint: 'May Belay write there? `belay doctor` says what it finds.',
    retryable: true,
    cause,
  })
}

function hasErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
