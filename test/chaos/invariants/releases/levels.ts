/** The data of an environment is where its record says, by its schema's own word, and where the release that serves needs it. */
import type { EnvironmentState, Migration } from '../../../../src/domain/environment.ts'
import type { Schemas } from '../../schemas.ts'
import { versionOf } from '../../schemas.ts'

export function checkLevels(state: EnvironmentState, schemas: Schemas, blame: (facts: string) => void): void {
  // Somebody was told that it stays as it is.
  if ((state.stuck ?? []).length > 0) return
  const applied = schemas.applied(state.name)
  const recorded = versionsOf(state, state.level)
  if (applied.join(' ') !== recorded.join(' '))
    blame(`its schema has [${applied.join(', ')}], and the state says [${recorded.join(', ')}]`)
  const { current } = state
  if (current === undefined) {
    if (recorded.length > 0) blame(`nothing serves, and its migrations [${recorded.join(', ')}] are applied`)
    return
  }
  const served = state.history.findLast(({ deploymentId }) => deploymentId === current.deploymentId)
  const needed = versionsOf(state, served?.level)
  if (needed.join(' ') !== recorded.join(' '))
    blame(
      `release ${String(current.release.number)} serves on [${needed.join(', ')}], and the state says [${recorded.join(', ')}]`,
    )
}

/** Up to that level, the oldest first. The same version twice in a row is one: the second `up` of it found it applied. */
function versionsOf({ migrations = [] }: EnvironmentState, level: string | undefined): string[] {
  const versions: string[] = []
  const left = new Map(migrations.map((migration) => [migration.id, migration]))
  for (let id = level; id !== undefined;) {
    const migration: Migration | undefined = left.get(id)
    left.delete(id)
    const version = migration === undefined ? `unknown ${id}` : versionOf(migration)
    if (versions[0] !== version) versions.unshift(version)
    id = migration?.on
  }
  return versions
}
