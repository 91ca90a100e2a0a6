import type { RollbackPreview, VariableChange } from '../api/environment-schemas.ts'
import type { EnvironmentConfig } from '../config/config.ts'
import { emptyEnvironment, findRollbackRelease } from '../domain/environment-rules.ts'
import { whyBlocked } from '../domain/environment-blocks.ts'
import type { EnvironmentState } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import { findDowns, findHindrance, findUps, levelFor } from '../domain/migrations.ts'
import type { EnvValue } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import { frozenAt } from './environment-view.ts'

interface Wanted {
  environment: EnvironmentConfig
  /** As it was recorded last; undefined: nothing ever was. */
  state: EnvironmentState | undefined
  to: string | undefined
  now: number
}

/** What a rollback would do, by the rules that the environment itself goes by. Throws what it would be refused with. */
export function previewRollback({ environment, state: recorded, to, now }: Wanted): RollbackPreview {
  const state = recorded ?? emptyEnvironment(environment.name, 0)
  const release = findRollbackRelease(state, to === undefined ? {} : { to })
  if (release === undefined) throw refusal(state, to)
  const hindrance = findHindrance(state, release)
  if (hindrance !== undefined) throw new BelayError(hindrance)
  const { current, active, freezes = [], given = {}, held } = state
  const served = state.history.findLast((entry) => entry.release.id === release.id)
  const variables = current === undefined ? undefined : given[current.release.image.digest]
  return {
    environment: environment.name,
    ...(current === undefined ? {} : { from: current.release }),
    to: release,
    servedAt: served?.at ?? 0,
    start: startOf(state, release),
    ...(variables === undefined ? {} : { variables: compareVariables(variables, environment.env) }),
    migrations: listMigrations(state, release),
    ...(active?.kind === 'deploy' ? { interrupts: active } : {}),
    queue: [
      ...state.queue.map(({ release: queued, runId }) => ({ release: queued, runId, ...because(held?.reason) })),
      ...state.rollbacks.flatMap(({ release: queued, reason }) =>
        queued === undefined ? [] : [{ release: queued, ...because(reason) }],
      ),
    ],
    provisional: state.history.filter(({ status }) => status === 'provisional'),
    ...frozenAt(freezes, now),
  }
}

function because(reason: string | undefined): { reason?: string } {
  return reason === undefined ? {} : { reason }
}

/** What served before a switch runs on until the deployment retires it. */
function startOf({ current, active }: EnvironmentState, { image }: ReleaseRef): RollbackPreview['start'] {
  if (current?.release.image.digest === image.digest) return 'serves'
  const runsBeside = active?.strategy !== 'recreate' && active?.previous?.image.digest === image.digest
  return runsBeside ? 'warm' : 'cold'
}

/** In the order in which they would run. */
function listMigrations(state: EnvironmentState, release: ReleaseRef): string[] {
  const level = levelFor(state, release)
  const describe = (way: 'down' | 'up', { number }: ReleaseRef, command: readonly string[]): string =>
    `${way} of release ${String(number)}: ${command.map(wordOf).join(' ')}`
  return [
    // None is without: that would have been a hindrance.
    ...findDowns(state, level).map((migration) => describe('down', migration.release, migration.down ?? [])),
    ...findUps(state, level).map((migration) => describe('up', migration.release, migration.up)),
  ]
}

/** One argument, so that the reader sees where it ends. */
function wordOf(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : JSON.stringify(argument)
}

/** Secrets by their names: whether their values have changed is not looked at. */
export function compareVariables(
  before: Readonly<Record<string, EnvValue>>,
  now: Readonly<Record<string, EnvValue>>,
): VariableChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].toSorted()
  return names.flatMap((name) => {
    const [from, to] = [before[name], now[name]]
    if (JSON.stringify(from) === JSON.stringify(to)) return []
    return [{ name, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }]
  })
}

function refusal(state: EnvironmentState, to: string | undefined): BelayError {
  const { name, history, current } = state
  const all = history.map((served) => ({ ...served, status: 'kept' as const }))
  const meant = to === undefined ? undefined : findRollbackRelease({ history: all, current }, { to })
  const why = meant === undefined ? undefined : whyBlocked(state, meant)
  if (why !== undefined) {
    const hint = `\`belay unblock ${name} ${String(meant?.number)}\` lets it come again.`
    return new BelayError({ code: 'refused', message: why, hint })
  }
  const known = [...new Set(history.map(({ release }) => release.number))].join(', ')
  return new BelayError({
    code: 'not_found',
    message: to === undefined ? `${name} has no earlier release to go back to` : `${name} never served a release "${to}"`,
    hint: known === '' ? 'It has served nothing yet.' : `It has served the releases ${known}.`,
  })
}
