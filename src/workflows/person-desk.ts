/** What people ask of an environment. All of it is in the store before it is answered: whoever ends the workflow then loses nothing. */
import { ApplicationFailure, patched, uuid4 } from '@temporalio/workflow'
import type { BlockChange, BlockChanged, FreezeChange, FreezeChanged, PersonAccepted } from '../contract/environment-workflow.ts'
import { toApplicationFailure } from '../contract/failures.ts'
import { addBlock, blockedAnswer, removeBlock, whyBlocked } from '../domain/environment-blocks.ts'
import { addFreeze, removeFreeze } from '../domain/environment-freezes.ts'
import * as rules from '../domain/environment-rules.ts'
import type { Answer, EnvironmentState, RollbackRequest } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import { findHindrance } from '../domain/migrations.ts'
import type { Freeze } from '../domain/freeze.ts'
import type { ReleaseRef } from '../domain/release.ts'
import type { Deployer } from './deployment.ts'
import type { Freezing } from './freezing.ts'

export interface PersonDesk {
  ask(request: RollbackRequest): Promise<PersonAccepted>
  freeze(change: FreezeChange): Promise<FreezeChanged>
  block(change: BlockChange): Promise<BlockChanged>
  /** A request whose turn has come: refused with a row in the history if its release was blocked since. */
  refuseBlocked(request: RollbackRequest): Promise<boolean>
}

interface Deps {
  /** Resolves when the state, as it is then, is in the store. */
  record: Deployer['record']
  freezing: Freezing
  tell(runId: string, answer: Answer): void
}

export function createPersonDesk(state: EnvironmentState, { record, freezing, tell }: Deps): PersonDesk {
  return {
    ask: refusing(async (request) => {
      if (!rules.isWayBack(request) && request.force !== true && !rules.isKnownPerson(state, request.id, Date.now())) {
        const held = await freezing.find()
        if (held !== undefined) throw frozen(state, held.reason)
      }
      const accepted = acceptPerson(state, request)
      await record()
      return accepted
    }),

    freeze: refusing(async (change) => {
      const now = Date.now()
      const freeze = change.type === 'freeze' ? addFreeze(state, change.freeze, now) : lift(change, now)
      await record()
      return { freeze, ...(state.active === undefined ? {} : { active: state.active.release }) }
    }),

    block: refusing(async (change) => {
      const changed = change.type === 'block' ? block(change) : unblock(change)
      await record()
      return changed
    }),

    async refuseBlocked(request) {
      const release = request.release ?? findMeant(state, request)
      const reason = release === undefined ? undefined : whyBlocked(state, release)
      if (release === undefined || reason === undefined) return false
      const at = Date.now()
      rules.remember(state, { requestId: request.id, status: 'failed', fault: 'failed', reason, at })
      const kind = rules.isWayBack(request) ? 'rollback' : 'deploy'
      const base = { id: uuid4(), environment: state.name, kind, release, requestId: request.id, actor: request.actor } as const
      await record({ ...base, status: 'failed', reason, startedAt: at, endedAt: at })
      return true
    },
  }

  function lift({ id, freezeId }: Extract<FreezeChange, { type: 'unfreeze' }>, now: number): Freeze {
    const lifted = rules.findChange(state, id)?.freeze
    if (lifted !== undefined) return lifted
    const freeze = removeFreeze(state, freezeId, now)
    rules.noteChange(state, { id, freeze })
    return freeze
  }

  function block({ id, environment, block: blocked, rollback }: Extract<BlockChange, { type: 'block' }>): BlockChanged {
    const { release, actor, reason } = blocked
    const { active } = state
    const serves = state.current !== undefined && isSame(state.current.release, release)
    const deploys = active !== undefined && active.kind !== 'undo' && isSame(active.release, release)
    const back = { id: `${id}/rollback`, environment, actor, ...(reason === undefined ? {} : { reason }) }
    if (rules.findChange(state, id) !== undefined) {
      const isBack = rules.isKnownPerson(state, back.id, Date.now())
      return { serves, deploys, refused: [], ...(isBack ? { rollback: acceptPerson(state, back) } : {}) }
    }
    // Of a run, and not settled: its own way back is the one to go.
    const takesBack = rollback && deploys && active.runId !== undefined && active.kind === 'deploy'
    const goesBack = rollback && serves && !takesBack
    // All of it, or nothing.
    if (rollback && deploys && !takesBack && !goesBack) throw busy(state.name, release)
    if (goesBack && !rules.isKnownPerson(state, back.id, Date.now())) {
      const blockedThen = { ...state, blocked: [...(state.blocked ?? []), blocked] }
      const onto = rules.findRollbackRelease(blockedThen, {})
      if (onto === undefined) throw refusalOf(state, back)
      refuseHindered(state, onto)
    }
    addBlock(state, blocked)
    rules.noteChange(state, { id })
    const refused = refuseQueued()
    if (takesBack) rules.receiveUndo(state, active.requestId, Date.now())
    return { serves, deploys, refused, ...(goesBack ? { rollback: acceptPerson(state, back) } : {}) }
  }

  function unblock({ id, release }: Extract<BlockChange, { type: 'unblock' }>): BlockChanged {
    if (rules.findChange(state, id) === undefined) {
      removeBlock(state, release.id)
      rules.noteChange(state, { id })
    }
    const still = whyBlocked(state, release)
    return { serves: false, deploys: false, refused: [], ...(still === undefined ? {} : { still }) }
  }

  /** What waits in the queue and may not come any more is told so now. */
  function refuseQueued(): string[] {
    const refused: string[] = []
    state.queue = state.queue.filter((request) => {
      const answer = blockedAnswer(state, request, Date.now())
      if (answer === undefined) return true
      refused.push(request.id)
      tell(request.runId, rules.remember(state, answer))
      return false
    })
    return refused
  }
}

/** Queued, unless it is known already. Throws what makes it impossible. */
export function acceptPerson(state: EnvironmentState, request: RollbackRequest): PersonAccepted {
  const wanted = rules.isKnownPerson(state, request.id, Date.now()) ? undefined : rules.findWanted(state, request)
  if (wanted !== undefined) refuseHindered(state, wanted)
  const release = rules.receivePerson(state, request, Date.now(), (meant) => pinTo(state, meant))
  if (release === undefined) throw refusalOf(state, request)
  return { requestId: request.id, release: release.number, digest: release.image.digest }
}

/** To the release itself; of two with the same image, an earlier version took the newer one. */
function pinTo(state: EnvironmentState, { id, image: { digest } }: ReleaseRef): string {
  const byDigest = rules.findRollbackRelease(state, { to: digest })
  return byDigest === undefined || byDigest.id === id || patched('rollback-names-its-release') ? id : digest
}

/** Over a migration that cannot be taken down nobody goes back. */
function refuseHindered(state: EnvironmentState, wanted: ReleaseRef): void {
  const hindrance = findHindrance(state, wanted)
  if (hindrance !== undefined) throw ApplicationFailure.nonRetryable(hindrance.message, hindrance.code)
}

function refusalOf(state: EnvironmentState, request: RollbackRequest): ApplicationFailure {
  const { name } = state
  const { release, to } = request
  const meant = release ?? findMeant(state, request)
  const why = meant === undefined ? undefined : whyBlocked(state, meant)
  if (why !== undefined) {
    const details = [{ hint: `\`belay unblock ${name} ${String(meant?.number)}\` lets it come again.` }]
    return ApplicationFailure.create({ message: why, type: 'refused', nonRetryable: true, details })
  }
  return ApplicationFailure.nonRetryable(
    to === undefined ? `${name} has no earlier release to go back to` : `${name} never served a release "${to}"`,
    'not_found',
  )
}

/** The release that a rollback names, blocked or not. */
function findMeant({ history, current }: EnvironmentState, { to }: RollbackRequest): ReleaseRef | undefined {
  if (to === undefined) return undefined
  const unblocked = history.map((served) => ({ ...served, status: 'kept' as const }))
  return rules.findRollbackRelease({ history: unblocked, ...(current === undefined ? {} : { current }) }, { to })
}

function isSame(one: ReleaseRef, other: ReleaseRef): boolean {
  return one.id === other.id || one.image.digest === other.image.digest
}

function frozen({ name }: EnvironmentState, reason: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `${name} is ${reason}`,
    hint: '`--force` with a `--reason` deploys all the same, and the audit has both.',
  })
}

function busy(name: string, { number }: ReleaseRef): BelayError {
  return new BelayError({
    code: 'conflict',
    message: `release ${String(number)} is being put into ${name} by a person right now, and was not blocked`,
    hint: 'Block it without `--rollback`, and roll back when it serves.',
  })
}

/** Only failures of Temporal's refuse an update; anything else would have the task tried for ever. */
function refusing<I, O>(body: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    try {
      return await body(input)
    } catch (error) {
      throw toApplicationFailure(error)
    }
  }
}
