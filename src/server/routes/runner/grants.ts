import { BelayError } from '../../../domain/errors.ts'
import type { Run, SegmentGrant, Store } from '../../../store/store.ts'
import type { Caller } from '../../auth/roles.ts'

/** The segment behind a call, and its run. Throws `stale` once its epoch was replaced, unless the call may come `late`. */
export async function loadGrant(store: Store, caller: Caller, { late = false } = {}): Promise<{ grant: SegmentGrant; run: Run }> {
  if (caller.type !== 'segment') throw new BelayError({ code: 'forbidden', message: "this needs a segment's token" })
  const { grant } = caller
  const run = await store.runs.find(grant.runId)
  if (run === undefined) throw new BelayError({ code: 'not_found', message: 'there is no such run' })
  if (late || run.epoch <= grant.epoch) return { grant, run }
  throw new BelayError({
    code: 'stale',
    message: `epoch ${String(grant.epoch)} of the run was replaced by ${String(run.epoch)}`,
    hint: 'Another runner, or a later life of this one, has the workspace: this one stops.',
  })
}

export function requireStep(grant: SegmentGrant, step: string): void {
  if (grant.steps.includes(step)) return
  throw new BelayError({ code: 'forbidden', message: `this token is not for the step ${JSON.stringify(step)}` })
}
