/** Recorded histories go on under the code of today. docs/changing-a-workflow.md says what to do when one does not. */
import { readdirSync } from 'node:fs'
import { defaultPayloadConverter } from '@temporalio/common'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { DeterminismViolationError } from '@temporalio/workflow'
import { beforeAll, describe, expect, it } from 'vitest'
import { workflowBundlePath } from '../../src/embedded/build-workflow-bundle.ts'
import { historyFromJson } from './history-json.ts'
import { historiesDirectory, listPathNames, readHistory, recordedPaths, type PathName } from './recorded-paths.ts'
import { parseHistory, readableHistory } from './scrub-history.ts'

const names = listPathNames()

let ends: Map<string, Error | undefined>

beforeAll(async () => {
  // A violation is the test's to tell.
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'OFF', forward: {} } } })
  ends = await replayAll()
})

const options = { workflowBundle: { codePath: workflowBundlePath() } }

async function replay(history: string): Promise<void> {
  await Worker.runReplayHistory(options, historyFromJson(history))
}

/** What went wrong with each; by one worker for all, since it takes longer to make one than to replay. */
async function replayAll(): Promise<Map<string, Error | undefined>> {
  const histories = names.map((name) => ({ workflowId: name, history: historyFromJson(readHistory(name)) }))
  const found = new Map<string, Error | undefined>()
  for await (const { workflowId, error } of Worker.runReplayHistories(options, histories)) found.set(workflowId, error)
  return found
}

it('every path that is listed has a history, and every history is listed', () => {
  const files = readdirSync(historiesDirectory).map((file) => file.replace(/[.]json$/, ''))
  expect(files.toSorted()).toEqual(names.toSorted())
})

it('all types of workflow are recorded', () => {
  expect(new Set(names.map(typeOf))).toEqual(new Set(['run', 'environment', 'recovery']))
})

describe.each(names)('%s', (name) => {
  it('replays without a difference', () => {
    expect([ends.has(name), ends.get(name)]).toEqual([true, undefined])
  })

  it('took the path that it is named after', () => {
    const { end, shows } = recordedPaths[name]
    const readable = readableHistory(readHistory(name))
    expect(name.startsWith(`${typeOf(name)}-`)).toBe(true)
    expect(shows.filter((word) => !readable.includes(word))).toEqual([])
    expect(endOf(name)).toEqual(end)
  })

  it('tells nothing about the machine it was recorded on', () => {
    const readable = readableHistory(readHistory(name))
    // Homes and checkouts, directories that mkdtemp has made, and `pid@host`.
    expect(readable).not.toMatch(/(?<![\w/.-])\/(home|Users|work|root|var\/folders)\/(?!belay\/)/)
    expect(readable).not.toMatch(/\/belay-(?!git\/)\w+\//)
    expect(readable).not.toMatch(/\b\d+@\w/)
  })
})

it.each([
  ['run-succeeded', 'createRelease'],
  ['environment-first-deployment', 'activate'],
] as const)('%s with another activity than %s is refused: the replay looks', async (name, made) => {
  const history = readHistory(name)
  const other = history.replace(`"activityType":{"name":"${made}"}`, '"activityType":{"name":"another"}')
  expect(other).not.toBe(history)
  await expect(replay(other)).rejects.toThrow(DeterminismViolationError)
})

it('a history that ends where the code goes on is refused', async () => {
  const { events } = parseHistory(readHistory('run-succeeded'))
  const [finished] = events.splice(events.length - 1, 1)
  expect(JSON.stringify(finished)).toContain('EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED')
  const failed = { eventId: String(events.length + 1), eventType: 'EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW' }
  const history = { events: [...events, { ...failed, workflowExecutionContinuedAsNewEventAttributes: {} }] }
  await expect(replay(JSON.stringify(history))).rejects.toThrow(DeterminismViolationError)
})

function typeOf(name: PathName): string | null | undefined {
  return historyFromJson(readHistory(name)).events?.[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name
}

/** A run workflow returns its end. */
function endOf(name: PathName): unknown {
  const completed = historyFromJson(readHistory(name)).events?.at(-1)?.workflowExecutionCompletedEventAttributes
  const [result] = completed?.result?.payloads ?? []
  return result === undefined ? 'open' : defaultPayloadConverter.fromPayload<{ end: unknown }>(result).end
}
