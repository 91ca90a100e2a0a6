import { BelayError } from '../../domain/errors.ts'
import type { RunStore } from '../store.ts'
import { topics } from '../topics.ts'
import { cancelRun } from './cancel-run.ts'
import type { StoreDatabase } from './database.ts'
import { fromJson, toJson } from './json.ts'
import { finishRun, recordEvents } from './record-events.ts'
import { findNewestEvent, listEvents, waitForEvents } from './run-events.ts'
import { createRunLists } from './run-lists.ts'
import { findResume, resumeRun } from './resume-run.ts'
import { loadRunRow, lockRunRow, toRun } from './run-row.ts'
import { startRun, startSiblings } from './start-run.ts'

export function createRunStore(database: StoreDatabase): RunStore {
  return {
    ...createRunLists(database),

    async start(input) {
      const { run } = await database.write((tx, tell) => {
        tell(topics.commands)
        return startRun(tx, { ...input, key: `asked/${input.key}`, now: database.now() })
      })
      return toRun(run)
    },
    async startSiblings(input) {
      await database.write((tx, tell) => {
        tell(topics.commands)
        return startSiblings(tx, { ...input, now: database.now() })
      })
    },
    async cancel(input) {
      const run = await database.write(async (tx, tell) => {
        for (const topic of [topics.commands, topics.runEvents(input.runId)]) tell(topic)
        await cancelRun({ tx, tell, now: database.now() }, input)
        return loadRunRow(tx, input.runId)
      })
      return toRun(run)
    },

    async resume(input) {
      const run = await database.write(async (tx, tell) => {
        for (const topic of [topics.commands, topics.runEvents(input.runId)]) tell(topic)
        await resumeRun({ tx, tell, now: database.now() }, input)
        return loadRunRow(tx, input.runId)
      })
      return toRun(run)
    },

    findResume: (run) => findResume(database.read, run),

    async savePlan({ runId, plan, planDigest }) {
      await database.write(async (tx) => {
        const run = await lockRunRow(tx, runId)
        await tx
          .insertInto('plans')
          .values({ digest: planDigest, plan: toJson(plan), created_at: database.now() })
          // As young as its newest run: a clean-up that looks at it just now leaves it.
          .onConflict((conflict) => conflict.column('digest').doUpdateSet({ created_at: database.now() }))
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
      await database.write((tx, tell) => {
        tell(topics.runEvents(runId))
        return recordEvents({ tx, tell, now: database.now() }, runId, events)
      })
    },
    async finish(runId, ending, events) {
      await database.write((tx, tell) => {
        tell(topics.runEvents(runId))
        return finishRun({ tx, tell, now: database.now() }, runId, ending, events)
      })
    },
    events: (runId, input) => listEvents(database, runId, input),
    newestEvent: (runId) => findNewestEvent(database, runId),
    waitForEvents: (runId, input) => waitForEvents(database, runId, input),

    async raiseEpoch(runId, epoch) {
      await database.write(async (tx) => {
        const run = await lockRunRow(tx, runId)
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
