import { BelayError } from '../../domain/errors.ts'
import type { Hub } from '../hub.ts'
import type { RunStore } from '../store.ts'
import { topics } from '../topics.ts'
import { cancelRun } from './cancel-run.ts'
import type { StoreDatabase } from './database.ts'
import { fromJson, toJson } from './json.ts'
import { finishRun, recordEvents } from './record-events.ts'
import { listEvents, waitForEvents } from './run-events.ts'
import { createRunLists } from './run-lists.ts'
import { loadRunRow, toRun } from './run-row.ts'
import { startRun, startSiblings } from './start-run.ts'

export function createRunStore(database: StoreDatabase, hub: Hub): RunStore {
  return {
    ...createRunLists(database),

    async start(input) {
      const { run } = await database.write((tx) => startRun(tx, { ...input, key: `asked/${input.key}`, now: database.now() }))
      hub.notify(topics.commands)
      return toRun(run)
    },
    async startSiblings(input) {
      await database.write((tx) => startSiblings(tx, { ...input, now: database.now() }))
      hub.notify(topics.commands)
    },
    async cancel(input) {
      const run = await database.write(async (tx) => {
        await cancelRun(tx, { ...input, now: database.now() })
        return loadRunRow(tx, input.runId)
      })
      hub.notify(topics.commands)
      hub.notify(topics.runEvents(input.runId))
      return toRun(run)
    },

    async savePlan({ runId, plan, planDigest }) {
      await database.write(async (tx) => {
        const run = await loadRunRow(tx, runId)
        await tx
          .insertInto('plans')
          .values({ digest: planDigest, plan: toJson(plan), created_at: database.now() })
          .onConflict((conflict) => conflict.column('digest').doNothing())
          .execute()
        if (run.ended_at !== null) return
        const named = { pipeline_name: plan.pipeline, plan_digest: planDigest }
        await tx.updateTable('runs').set(named).where('id', '=', runId).execute()
      })
    },
    async findPlan(planDigest) {
      const row = await database.read.selectFrom('plans').select('plan').where('digest', '=', planDigest).executeTakeFirst()
      return row === undefined ? undefined : fromJson(row.plan)
    },

    async record(runId, events) {
      await database.write((tx) => recordEvents(tx, runId, events))
      hub.notify(topics.runEvents(runId))
    },
    async finish(runId, ending, events) {
      await database.write((tx) => finishRun(tx, runId, ending, events))
      hub.notify(topics.runEvents(runId))
    },
    events: (runId, input) => listEvents(database, runId, input),
    waitForEvents: (runId, input) => waitForEvents(database, hub, runId, input),

    async raiseEpoch(runId, epoch) {
      await database.write(async (tx) => {
        const run = await loadRunRow(tx, runId)
        if (epoch < run.epoch) throw staleEpoch(epoch, run.epoch)
        if (epoch > run.epoch && run.ended_at === null)
          await tx.updateTable('runs').set({ epoch }).where('id', '=', runId).execute()
      })
    },
  }
}

function staleEpoch(given: number, newest: number): BelayError {
  return new BelayError({
    code: 'stale',
    message: `epoch ${String(given)} was replaced by epoch ${String(newest)}`,
    hint: 'The workspace was given out again: this writer has to stop.',
  })
}
