import { DefaultLogger, Runtime } from '@temporalio/worker'
import { beforeAll, expect, it } from 'vitest'
import { historyFromJson } from '../../replay/history-json.ts'
import { listPathNames, readHistory } from '../../replay/recorded-paths.ts'
import { historiesReplay } from './histories-replay.ts'
import { execution } from './testing.ts'

beforeAll(() => {
  // A violation is the checker's to tell.
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'OFF', forward: {} } } })
})

const recorded = listPathNames().map((name) => ({ ...execution(`${String(name.split('-')[0])}/${name}`), name }))

function judge(change: (history: string, name: string) => string) {
  const fetchHistory = ({ workflowId }: { workflowId: string }) => {
    const name = recorded.find((one) => one.workflowId === workflowId)?.name
    if (name === undefined) throw new Error(`nothing was recorded of ${workflowId}`)
    return Promise.resolve(historyFromJson(change(readHistory(name), name)))
  }
  const stranger = execution('janitor', { type: 'somebody-elses' })
  return historiesReplay({ executions: [...recorded, stranger], fetchHistory })
}

it('histories that were recorded replay, each of them', async () => {
  const { violations, looked } = await judge((history) => history)
  expect(violations).toEqual([])
  expect(looked['I8']).toBe(recorded.length)
  const kinds = new Set(recorded.map(({ type }) => `I8 ${type} histories`))
  expect(Object.keys(looked).toSorted()).toEqual(['I8', ...kinds].toSorted())
})

it('names the one that does not, and goes on to the others', async () => {
  const other = (history: string, name: string) =>
    name === 'run-succeeded'
      ? history.replace(`"activityType":{"name":"createRelease"}`, '"activityType":{"name":"another"}')
      : history
  const { violations, looked } = await judge(other)
  expect(violations.map(({ about }) => about.split(' (')[0])).toEqual(['history of run/run-succeeded'])
  expect(violations[0]?.facts).toMatch(/^does not replay: .*createRelease/s)
  expect(looked['I8']).toBe(recorded.length)
})
