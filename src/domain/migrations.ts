/**
 * The migrations of an environment, as pure functions on its state. Each was applied on another one, so together they are a tree: the
 * environment is at one place of it, its `level`, and every release it has served says at which place it did. Going back to a release
 * is going up and down that tree.
 */
import type { EnvironmentState, Migration } from './environment.ts'
import type { ReleaseRef } from './release.ts'

type Tree = Pick<EnvironmentState, 'migrations' | 'level'>

/** To be taken down before the environment is at that level, the newest first. */
export function findDowns(state: Tree, to: string | undefined): Migration[] {
  const wanted = new Set(lineOf(state, to).map(({ id }) => id))
  return lineOf(state, state.level).filter(({ id }) => !wanted.has(id))
}

/** To be applied before the environment is at that level, the oldest first. */
export function findUps(state: Tree, to: string | undefined): Migration[] {
  const applied = new Set(lineOf(state, state.level).map(({ id }) => id))
  return lineOf(state, to).filter(({ id }) => !applied.has(id)).toReversed() // prettier-ignore
}

export function findIrreversible(state: Tree, to: string | undefined): Migration | undefined {
  return findDowns(state, to).find(({ down }) => down === undefined)
}

/** Owed from here on: it may be applied, in part, or not at all. */
export function noteUp(state: EnvironmentState, migration: Migration): void {
  const others = (state.migrations ?? []).filter(({ id }) => id !== migration.id)
  state.migrations = [...others, migration]
  state.level = migration.id
}

export function noteDown(state: EnvironmentState, { on }: Migration): void {
  if (on === undefined) delete state.level
  else state.level = on
}

/** The level at which a release was served here; of one that never was, nothing is known: the level stays. */
export function levelFor(state: Tree & Pick<EnvironmentState, 'history'>, release: ReleaseRef): string | undefined {
  const served = state.history.findLast((candidate) => candidate.release.id === release.id)
  return served === undefined ? state.level : served.level
}

/** What a deployment has begun itself; of an undo, what the deployment that it takes back has. */
export function findOwn(
  state: Tree,
  { migration, requestId }: { migration?: string | undefined; requestId: string },
): Migration | undefined {
  return lineOf(state, state.level).find((candidate) => candidate.id === migration || candidate.requestId === requestId)
}

/** Why a person's way to that release is refused; undefined: it is not. */
export function findHindrance(
  state: Tree & Pick<EnvironmentState, 'name' | 'history'>,
  release: ReleaseRef,
): { message: string; code: 'refused' | 'not_yet' } | undefined {
  const level = levelFor(state, release)
  const way = `${state.name} cannot go to release ${String(release.number)}`
  const over = findIrreversible(state, level)
  if (over !== undefined) {
    const message = `${way}: the migration of release ${String(over.release.number)} cannot be taken down; deploy a release that suits it`
    return { code: 'refused', message }
  }
  // Both ways at once: what is applied would have to be taken down first, under a release that needs it.
  const [up] = findUps(state, level)
  const [down] = findDowns(state, level)
  if (up === undefined || down === undefined) return undefined
  const parts = `that of release ${String(up.release.number)} was taken down since, and that of release ${String(down.release.number)} is applied`
  return { code: 'not_yet', message: `${way} yet: of their migrations, ${parts}; build it anew` }
}

/** Forgets what no release of the history can need. */
export function forgetMigrations(state: EnvironmentState): void {
  if (state.migrations === undefined) return
  const levels = [state.level, ...state.history.map(({ level }) => level)]
  const needed = new Set(levels.flatMap((level) => lineOf(state, level).map(({ id }) => id)))
  const kept = state.migrations.filter(({ id }) => needed.has(id))
  if (kept.length > 0) state.migrations = kept
  else delete state.migrations
}

/** One and all below it, the newest first. */
function lineOf({ migrations = [] }: Tree, from: string | undefined): Migration[] {
  const line: Migration[] = []
  const byId = new Map(migrations.map((migration) => [migration.id, migration]))
  for (let at = from === undefined ? undefined : byId.get(from); at !== undefined && !line.includes(at);) {
    line.push(at)
    at = at.on === undefined ? undefined : byId.get(at.on)
  }
  return line
}
