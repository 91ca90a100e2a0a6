/** Drives runs whose runner is gone for good, while another one is there. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findUpState } from '../../src/cli/up/up-file.ts'
import type { Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'
import { endAs, runWorkflow, type Drive } from './drive.ts'

const top = fileURLToPath(new URL(import.meta.url.includes('/dist/') ? '../../..' : '../..', import.meta.url))

export const takeoverDrives: readonly Drive[] = [
  {
    records: ['run-taken-over'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  build: { commands: [echo built > made], checkpoint: true }
  test: { commands: [test -e made, touch tested] }
  migrate:
    commands: [echo up]
    undo: { commands: [echo down] }
  long: { commands: [test -e tested, echo begun >> NOTES/taken, "until [ -e NOTES/taken-on ]; do sleep 0.1; done"] }
`)
      await scenario.noted('taken')
      await withoutRunner(scenario, async () => {
        await until('the step begins again', () => scenario.readNote('taken').length === 2)
        writeFileSync(join(scenario.notes, 'taken-on'), '')
        await endAs(scenario, id, 'succeeded')
      })
      return { 'run-taken-over': runWorkflow(id) }
    },
  },
  {
    records: ['run-taken-over-undone-first'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  once:
    commands: [echo begun >> NOTES/once, "until [ -e NOTES/once-more ]; do sleep 0.1; done"]
    undo: { commands: [echo undone] }
    retry: { max: 1, on: [errored] }
`)
      await scenario.noted('once')
      await withoutRunner(scenario, async () => {
        await until('the step begins again', () => scenario.readNote('once').length === 2)
        writeFileSync(join(scenario.notes, 'once-more'), '')
        await endAs(scenario, id, 'succeeded')
      })
      return { 'run-taken-over-undone-first': runWorkflow(id) }
    },
  },
  {
    records: ['run-undo-taken-over'],
    async drive({ scenario }) {
      const { id } = await scenario.start(`steps:
  migrate:
    commands: [echo up]
    undo: { commands: [echo begun >> NOTES/back, "until [ -e NOTES/back-on ]; do sleep 0.1; done"] }
  look: { commands: ["false"] }
`)
      await scenario.noted('back')
      await withoutRunner(scenario, async () => {
        await until('the undo begins again', () => scenario.readNote('back').length === 2)
        writeFileSync(join(scenario.notes, 'back-on'), '')
        await endAs(scenario, id, 'rolled_back')
      })
      return { 'run-undo-taken-over': runWorkflow(id) }
    },
  },
]

/** Kills the runner, starts another one, and keeps whoever would start the first one again from it while `body` goes on. */
async function withoutRunner(scenario: Scenario, body: () => Promise<void>): Promise<void> {
  const { system } = scenario
  const up = system.signal('up', 'SIGSTOP')
  try {
    system.kill('runner')
    const second = await startRunner(scenario)
    try {
      await body()
    } finally {
      await second.stop()
    }
  } finally {
    process.kill(up, 'SIGCONT')
  }
  await until('the runner is back', async () => {
    const { items } = await system.client.listRunners()
    return items.some(({ runner, status }) => runner === 'local' && status === 'ACTIVE')
  })
}

async function startRunner({ system }: Scenario): Promise<{ stop(): Promise<void> }> {
  const { token } = await system.client.createToken({ name: 'second', role: 'runner', replace: true })
  const temporal = findUpState(system.data)?.temporal
  if (temporal === undefined) throw new Error('Belay does not say where its Temporal is')
  const data = join(system.directory, 'second')
  mkdirSync(data, { recursive: true })
  const args = ['worker', 'runner', '--name', 'second', '--url', system.url, '--data', data]
  const child = spawn(process.execPath, [join(top, 'dist/src/cli/main.js'), ...args], {
    cwd: system.directory,
    env: {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: system.directory,
      TEMPORAL_ADDRESS: temporal,
      BELAY_RUNNER_TOKEN: token,
      BELAY_WORK_DIR: join(system.directory, 'second-work'),
    },
    // By the channel it ends with us, however we end.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const isGone = () => child.exitCode !== null || child.signalCode !== null
  return {
    async stop() {
      if (!isGone()) child.kill('SIGTERM')
      await until('the second runner is gone', isGone, 20_000).catch(() => child.kill('SIGKILL'))
      await until('the second runner is gone', isGone)
    },
  }
}
