/** Drives runs down the paths that need no environment. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findUpState } from '../../src/cli/up/up-file.ts'
import { until } from '../helpers/until.ts'
import type { Scenario } from '../helpers/scenario.ts'
import { endAs, endForGood, runWorkflow, type Drive } from './drive.ts'

export const runDrives: readonly Drive[] = [
  {
    records: ['run-failed-after-retry'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  flaky:
    commands: [echo a flaw, exit 3]
    retry: { max: 1, backoff: 100ms }
finally:
  tell:
    when: { status: [failed] }
    commands: [echo told]
`)
      await endAs(scenario, id, 'failed')
      return { 'run-failed-after-retry': runWorkflow(id) }
    },
  },
  {
    records: ['run-undone'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  migrate:
    commands: [echo up]
    undo: { commands: [echo down] }
  seed:
    commands: [echo seeded]
    undo: { commands: [echo emptied] }
  look:
    commands: ["false"]
`)
      await endAs(scenario, id, 'rolled_back')
      return { 'run-undone': runWorkflow(id) }
    },
  },
  {
    records: ['run-undo-failed'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  migrate:
    commands: [echo up]
    undo: { commands: ["false"], retry: { max: 1 } }
  look:
    commands: ["false"]
`)
      await endAs(scenario, id, 'rollback_blocked')
      return { 'run-undo-failed': runWorkflow(id) }
    },
  },
  {
    records: ['run-undo-retried'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  migrate:
    commands: [echo up]
    undo: { commands: [test -e NOTES/retried], retry: { max: 1 } }
  look:
    commands: ["false"]
`)
      const { client } = scenario.system
      await endAs(scenario, id, 'rollback_blocked')
      await client.settleUndo({ id }, { action: 'retry', reason: 'perhaps now' })
      await until('it has failed again', async () => {
        const states = (await scenario.events(id)).flatMap(({ body }) => (body.type === 'run' ? [body.status] : []))
        return states.filter((status) => status === 'rollback_blocked').length === 2
      })
      writeFileSync(join(scenario.notes, 'retried'), '')
      await client.settleUndo({ id }, { action: 'retry', reason: 'there is room again' })
      await endForGood(scenario, id, 'rolled_back')
      return { 'run-undo-retried': runWorkflow(id) }
    },
  },
  {
    records: ['run-undo-skipped'],
    async drive({ scenario }) {
      const undo = 'undo: { commands: ["false"], retry: { max: 1 } }'
      const { id } = await scenario.start(`steps:
  migrate: { commands: [echo up], ${undo} }
  seed: { commands: [echo seeded], ${undo} }
  look: { commands: ["false"] }
`)
      await endAs(scenario, id, 'rollback_blocked')
      for (const reason of ['emptied by hand', 'taken down by hand'])
        await scenario.system.client.settleUndo({ id }, { action: 'skip', reason })
      await endForGood(scenario, id, 'rollback_failed')
      return { 'run-undo-skipped': runWorkflow(id) }
    },
  },
  {
    records: ['run-cancelled-in-step'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  migrate:
    commands: [echo up]
    undo: { commands: [echo down] }
  long:
    commands: [echo begun > NOTES/cancelled, sleep 300]
`)
      await scenario.noted('cancelled')
      await scenario.system.client.cancelRun({ id }, { reason: 'no longer wanted' })
      await endAs(scenario, id, 'cancelled')
      return { 'run-cancelled-in-step': runWorkflow(id) }
    },
  },
  {
    records: ['run-overtime'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`timeout: 3s\nsteps:\n  long:\n    commands: [sleep 300]\n`)
      await endAs(scenario, id, 'failed')
      return { 'run-overtime': runWorkflow(id) }
    },
  },
  {
    records: ['run-skipped'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`when: { event: push, branch: release }\nsteps:\n  build:\n    commands: ["true"]\n`)
      await endAs(scenario, id, 'skipped')
      return { 'run-skipped': runWorkflow(id) }
    },
  },
  {
    records: ['run-invalid'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:\n  build:\n    comands: ["true"]\n`)
      await endAs(scenario, id, 'errored')
      return { 'run-invalid': runWorkflow(id) }
    },
  },
  {
    records: ['run-runner-killed'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  first:
    commands: [echo done]
  long:
    commands: [echo begun > NOTES/killed, sleep 3]
`)
      await scenario.noted('killed')
      scenario.system.kill('runner')
      await endAs(scenario, id, 'succeeded')
      return { 'run-runner-killed': runWorkflow(id) }
    },
  },
  {
    records: ['run-runner-silent'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  long:
    commands: [echo begun > NOTES/silent, sleep 3]
`)
      await scenario.noted('silent')
      await fallSilent(scenario, id)
      await endAs(scenario, id, 'succeeded')
      return { 'run-runner-silent': runWorkflow(id) }
    },
  },
  {
    records: ['run-runner-killed-undone-first'],
    async drive({ scenario }) {
      const { id } = await scenario.start(undoneFirst('interrupted'))
      await scenario.noted('interrupted')
      scenario.system.kill('runner')
      await until('the step begins again', () => scenario.readNote('interrupted').length === 2)
      writeFileSync(join(scenario.notes, 'interrupted-on'), '')
      await endAs(scenario, id, 'succeeded')
      return { 'run-runner-killed-undone-first': runWorkflow(id) }
    },
  },
  {
    records: ['run-runner-silent-undone-first'],
    async drive({ scenario }) {
      const { id } = await scenario.start(undoneFirst('in-doubt'))
      await scenario.noted('in-doubt')
      await fallSilent(scenario, id)
      await until('the step begins again', () => scenario.readNote('in-doubt').length === 2)
      writeFileSync(join(scenario.notes, 'in-doubt-on'), '')
      await endAs(scenario, id, 'succeeded')
      return { 'run-runner-silent-undone-first': runWorkflow(id) }
    },
  },
  {
    records: ['run-control-killed'],
    async drive({ scenario }) {
      const { system } = scenario
      const { id } = await scenario.start(`steps:
  first:
    commands: [echo begun > NOTES/control, sleep 1]
    undo: { commands: [echo undone] }
  second:
    commands: [echo done]
`)
      await scenario.noted('control')
      const killed = system.kill('main')
      await until('main is back', () => {
        const pid = findUpState(system.data)?.parts['main']
        return pid !== undefined && pid !== killed
      })
      // Until it listens, it cannot be asked.
      await until('the server answers', () =>
        system.client
          .ready()
          .then(() => true)
          .catch(() => false),
      )
      await endAs(scenario, id, 'succeeded')
      return { 'run-control-killed': runWorkflow(id) }
    },
  },
]

const undoneFirst = (note: string): string => `steps:
  once:
    commands: [echo begun >> NOTES/${note}, "until [ -e NOTES/${note}-on ]; do sleep 0.1; done"]
    undo: { commands: [echo undone] }
    retry: { max: 1, on: [errored] }
`

/** Kills the runner; whoever would start it again stands still until the run waits. */
async function fallSilent(scenario: Scenario, runId: string): Promise<void> {
  const up = scenario.system.signal('up', 'SIGSTOP')
  try {
    scenario.system.kill('runner')
    await until('the run waits for its runner', async () =>
      (await scenario.events(runId)).some(({ body }) => body.type === 'waiting'),
    )
  } finally {
    process.kill(up, 'SIGCONT')
  }
}
