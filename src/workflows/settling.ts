import { condition, setHandler } from '@temporalio/workflow'
import { toApplicationFailure } from '../contract/failures.ts'
import { settleUndoUpdate } from '../contract/run-workflow.ts'
import type { RunStatus } from '../domain/run.ts'
import { noteOf, settleUndo, type SettledUndo, type SettleUndo } from '../domain/settle-undo.ts'
import type { UndoStack } from './saga.ts'
import type { Workspace } from './workspace.ts'

/** The way out of `rollback_blocked`: a person settles one undo after the other. */
export interface Settling {
  /** Once the run has told that it is blocked: resolves when no undo is blocked any more, however long that takes. */
  done(): Promise<void>
  /** What could not be taken back. */
  reason(): string
}

export interface SettlingDeps {
  /** Of the run. */
  number: number
  undo: UndoStack
  workspace: Pick<Workspace, 'close'>
  status(): RunStatus
  say(status: RunStatus, reason: string): void
}

/** Takes the update from the beginning, so that it is refused and not left waiting while nothing is blocked. */
export function createSettling({ number, undo, workspace, status, say }: SettlingDeps): Settling {
  const settled = new Map<string, SettledUndo>()
  let told = false
  let retry: SettleUndo | undefined

  setHandler(settleUndoUpdate, settle, {
    validator(request: SettleUndo) {
      if (!settled.has(request.id)) check(request)
    },
  })

  async function settle(request: SettleUndo): Promise<SettledUndo> {
    await condition(() => told)
    const known = settled.get(request.id)
    if (known !== undefined) return known
    const answer = check(request)
    settled.set(request.id, answer)
    if (request.action === 'skip') {
      undo.skip(noteOf(request))
      if (answer.left.length > 0) say('rollback_blocked', reason())
    } else {
      retry = request
      say('running', `the undo of "${answer.step}" is ${noteOf(request)}`)
    }
    return answer
  }

  function check(request: SettleUndo): SettledUndo {
    try {
      return settleUndo(request, { number, status: status(), blocked: undo.blocked() })
    } catch (error) {
      throw toApplicationFailure(error)
    }
  }

  function reason(): string {
    const parts = undo.list().flatMap((item) => {
      const name = item.environment === undefined ? item.step : `${item.step} in ${item.environment}`
      if (item.status === 'failed') return [name]
      return item.status === 'skipped' ? [`${name} (${item.reason ?? 'skipped'})`] : []
    })
    return `could not be taken back: ${parts.toReversed().join(', ')}`
  }

  return {
    reason,
    async done() {
      told = true
      for (;;) {
        await condition(() => retry !== undefined || undo.blocked().length === 0)
        if (retry === undefined) return
        await undo.retry(noteOf(retry))
        // Waiting holds nothing.
        await workspace.close()
        retry = undefined
        if (undo.blocked().length > 0) say('rollback_blocked', reason())
      }
    },
  }
}
