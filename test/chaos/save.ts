/** The evidence beside the ledger: what the parts have printed, and the histories of what went wrong. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { environmentWorkflowId, runWorkflowId } from '../../src/contract/workflow-ids.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { historyToJson } from '../replay/history-json.ts'
import type { Verdict } from './evidence.ts'
import type { Story } from './story.ts'
import type { ChaosWorld } from './world.ts'

export function saveOutputs(world: ChaosWorld, evidence: string): void {
  const directory = join(evidence, 'output')
  mkdirSync(directory, { recursive: true })
  for (const { part, text } of world.printed()) writeFileSync(join(directory, `${part}.log`), text)
}

const most = 40

/** Of the runs that are open or that a violation names, and of all environments. */
export async function saveHistories(input: {
  world: ChaosWorld
  story: Story
  verdict: Verdict
  evidence: string
}): Promise<void> {
  const { world, story, verdict, evidence } = input
  const named = verdict.violations.map(({ about, facts }) => `${about} ${facts}`).join('\n')
  const runs = story.runs.filter(({ run }) => !isEndedRun(run.status) || named.includes(run.id)).slice(0, most)
  const ids = [
    ...runs.map(({ run }) => runWorkflowId(run.id)),
    ...(runs.length === 0 && named === '' ? [] : world.environments.map(({ name }) => environmentWorkflowId(name))),
  ]
  if (ids.length === 0) return
  const directory = join(evidence, 'histories')
  mkdirSync(directory, { recursive: true })
  const connection = await Connection.connect({ address: world.temporal.address })
  try {
    const client = new Client({ connection, namespace: world.temporal.namespace })
    for (const id of ids) {
      const history = await client.workflow
        .getHandle(id)
        .fetchHistory()
        .then(historyToJson, (error: unknown) => `no history: ${String(error)}\n`)
      writeFileSync(join(directory, `${id.replaceAll('/', '-')}.json`), history)
    }
  } finally {
    await connection.close()
  }
}
