/** Drives runs whose workflows are ended from outside, so that a recovery brings them to their end. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recoveryWorkflowId } from '../../src/contract/workflow-ids.ts'
import { deploying } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'
import { endAs, endForGood, runWorkflow, type Drive, type Stage } from './drive.ts'

/** The janitor comes every 30 s, and what was running gets 20 s. */
const limitMs = 120_000

export const recoveryDrives: readonly Drive[] = [
  {
    records: ['recovery-nothing-owed'],
    async drive(stage) {
      const { id } = await stage.scenario.start(`steps:
  long: { commands: [echo begun > NOTES/recovered-build, sleep 300] }
finally:
  told: { commands: [echo told] }
`)
      await stage.scenario.noted('recovered-build')
      await terminate(stage, runWorkflow(id))
      await endAs(stage.scenario, id, 'errored')
      return { 'recovery-nothing-owed': recoveryWorkflowId(id) }
    },
  },
  {
    records: ['recovery-taken-back'],
    async drive(stage) {
      const { id } = await stage.scenario.start(
        deploying({
          version: '1',
          environment: 'ended',
          before: '  migrate: { commands: [echo up], undo: { commands: [echo down] } }\n',
          after: '  hold: { commands: [echo begun > NOTES/recovered-hold, sleep 300] }\n',
        }),
      )
      await stage.scenario.noted('recovered-hold')
      await terminate(stage, runWorkflow(id))
      await endAs(stage.scenario, id, 'rolled_back')
      return { 'recovery-taken-back': recoveryWorkflowId(id) }
    },
  },
  {
    records: ['recovery-of-a-recovery', 'recovery-blocked'],
    async drive(stage) {
      const { scenario, temporal } = stage
      const { id } = await scenario.start(`steps:
  migrate: { commands: [echo up], undo: { commands: [test -e NOTES/recovered-free], retry: { max: 1 } } }
  hold: { commands: [echo begun > NOTES/recovered-blocked, sleep 300] }
`)
      await scenario.noted('recovered-blocked')
      await terminate(stage, runWorkflow(id))
      await endAs(scenario, id, 'rollback_blocked')
      const recovery = recoveryWorkflowId(id)
      const first = (await temporal.workflow.getHandle(recovery).describe()).runId
      await terminate(stage, recovery)
      writeFileSync(join(scenario.notes, 'recovered-free'), '')
      await until(
        'another recovery is blocked',
        async () => {
          const { runId } = await temporal.workflow.getHandle(recovery).describe()
          return runId !== first && (await scenario.system.client.getRun({ id })).status === 'rollback_blocked'
        },
        limitMs,
      )
      await until('the retry is taken', () =>
        scenario.system.client.settleUndo({ id }, { action: 'retry', reason: 'there is room again' }).then(
          () => true,
          () => false,
        ),
      )
      await endForGood(scenario, id, 'rolled_back')
      return { 'recovery-of-a-recovery': recovery, 'recovery-blocked': { workflowId: recovery, runId: first } }
    },
  },
  {
    records: ['recovery-before-a-plan'],
    async drive(stage) {
      const { scenario } = stage
      const other = "steps: { other: { commands: ['true'] } }\n"
      scenario.git.mode = 'stalled'
      const stalled = scenario.git.stalled()
      const { id } = await scenario.start(other.replace('other', 'own'), { files: { '.belay/other.yml': other } })
      await stalled
      await terminate(stage, runWorkflow(id))
      scenario.git.mode = 'any-commit'
      await endAs(scenario, id, 'errored')
      return { 'recovery-before-a-plan': recoveryWorkflowId(id) }
    },
  },
  {
    records: ['recovery-settled'],
    async drive(stage) {
      const { scenario } = stage
      const { id } = await scenario.start(`steps:
  migrate: { commands: [echo up], undo: { commands: [echo down] } }
finally:
  told: { commands: [echo begun > NOTES/recovered-settled, 'while [ ! -e NOTES/recovered-go ]; do sleep 0.1; done'] }
`)
      await scenario.noted('recovered-settled')
      await terminate(stage, runWorkflow(id))
      writeFileSync(join(scenario.notes, 'recovered-go'), '')
      await endAs(scenario, id, 'succeeded')
      return { 'recovery-settled': recoveryWorkflowId(id) }
    },
  },
]

async function terminate({ temporal }: Stage, workflowId: string): Promise<void> {
  await temporal.workflow.getHandle(workflowId).terminate('from outside')
}
