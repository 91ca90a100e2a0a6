/**
 * From the failure that is seen to the old release serving again, under traffic: while it is still warm (the new one sickens
 * while it is watched), and when it is cold (a later step fails, long after the old one was stopped).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection, type WorkflowHandle } from '@temporalio/client'
import { environmentWorkflowId } from '../src/contract/workflow-ids.ts'
import { findUpState } from '../src/cli/up/up-file.ts'
import { findFreePort } from '../src/process/free-port.ts'
import { sampleProgram } from '../test/helpers/sample-app.ts'
import { deploying, startScenario, type Scenario } from '../test/helpers/scenario.ts'
import { startTraffic } from '../test/helpers/traffic-process.ts'
import { until } from '../test/helpers/until.ts'
import { describeTimes } from './bench-system.ts'

type HistoryEvent = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number]

const repeats = 50
const trafficPerSecond = 60

export async function measureRollbacks(): Promise<string[]> {
  const scenario = await startScenario()
  const connection = await Connection.connect({ address: findUpState(scenario.system.data)?.temporal ?? '' })
  const traffic: ReturnType<typeof startTraffic>[] = []
  try {
    const first = await scenario.run(deploying({ version: 'old' }))
    if (first.status !== 'succeeded') throw new Error(`the first release ended ${first.status}: ${first.reason ?? ''}`)
    const client = new Client({ connection })
    const lines: string[] = []
    for (const [name, measure] of [
      ['warm', (n: number) => goBackWarm(scenario, client, n)],
      ['cold', (n: number) => goBackCold(scenario, n)],
    ] as const) {
      const load = startTraffic(`${scenario.system.edge}/version`, trafficPerSecond)
      traffic.push(load)
      const times: number[] = []
      for (let n = 1; n <= repeats; n++) times.push(await measure(n))
      const { served, failed, failures } = await load.stop()
      lines.push(`failure seen → old release serves, ${name}: ${describeTimes(times)}`)
      lines.push(`  meanwhile ${String(served)} requests were served, ${String(failed)} failed ${failures.join('; ')}`.trimEnd())
    }
    lines.push(`floor of cold: the application's own start ${describeTimes(await measureStarts())}`)
    return lines
  } finally {
    for (const load of traffic) load.kill()
    await connection.close()
    await scenario.stop()
  }
}

/** The new release answers, but says that it is sick. */
async function goBackWarm(scenario: Scenario, client: Client, n: number): Promise<number> {
  const { edge } = scenario.system
  const version = `warm-${String(n)}`
  const { id } = await scenario.start(deploying({ version, bake: '60s' }))
  const watching = watchVersion(`${edge}/version`)
  try {
    await watching.seen(version)
    await fetch(`${edge}/sicken`)
    const backAt = await watching.seen('old')
    const run = await scenario.end(id)
    if (run.status !== 'rolled_back') throw new Error(`the run ended ${run.status}`)
    return backAt - (await lastVerifyEndedAt(client))
  } finally {
    await watching.stop()
  }
}

/** A step after the deployment fails: the old release has to be started first. */
async function goBackCold(scenario: Scenario, n: number): Promise<number> {
  const version = `cold-${String(n)}`
  const watching = watchVersion(`${scenario.system.edge}/version`)
  try {
    const { id } = await scenario.start(deploying({ version, after: '  late: { commands: ["exit 3"] }\n' }))
    await watching.seen(version)
    const backAt = await watching.seen('old')
    const run = await scenario.end(id)
    const late = run.steps.find(({ step }) => step === 'late')
    if (run.status !== 'rolled_back' || late?.endedAt === undefined) throw new Error(`the run ended ${run.status}`)
    return backAt - late.endedAt
  } finally {
    await watching.stop()
  }
}

/** When the watch over the new release said so, by Temporal's own clock; the last watch is that of the way back. */
async function lastVerifyEndedAt(client: Client): Promise<number> {
  const endedAt: number[] = []
  // It may have continued as new since: then the watch is in the history before.
  for (let runId: string | undefined, isFirst = true; isFirst || runId !== undefined; isFirst = false) {
    const { events } = await client.workflow.getHandle(environmentWorkflowId('production'), runId).fetchHistory()
    endedAt.unshift(...verifyEnds(events ?? []))
    const found = endedAt.at(-2)
    if (found !== undefined) return found
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId || undefined
  }
  throw new Error('the history does not say when the watch ended')
}

function verifyEnds(events: readonly HistoryEvent[]): number[] {
  const watches = new Set<string>()
  const endedAt: number[] = []
  for (const { eventId, eventTime, ...event } of events) {
    if (event.activityTaskScheduledEventAttributes?.activityType?.name === 'verify') watches.add(String(eventId))
    const completed = event.activityTaskCompletedEventAttributes
    if (completed && watches.has(String(completed.scheduledEventId)))
      endedAt.push(Number(eventTime?.seconds ?? 0) * 1000 + (eventTime?.nanos ?? 0) / 1e6)
  }
  return endedAt
}

/** Asks for the version all the time; says when one was first answered since the last question. */
function watchVersion(url: string): { seen(version: string): Promise<number>; stop(): Promise<void> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const answers: { version: string; at: number }[] = []
  let stopped = false
  const asking = (async () => {
    while (!stopped) {
      const version = await ask(url, agent)
      answers.push({ version, at: Date.now() })
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
  })()
  return {
    async seen(version) {
      const found = await until(`${version} serves`, () => answers.find((answer) => answer.version === version), 120_000)
      answers.splice(0, answers.indexOf(found))
      return found.at
    },
    async stop() {
      stopped = true
      await asking
      agent.destroy()
    },
  }
}

function ask(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { agent }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(response.statusCode === 200 ? text : String(response.statusCode)))
    })
    request.on('error', (error) => resolve(error.message))
  })
}

/** From the spawn of the application to its first good answer. */
async function measureStarts(): Promise<number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'belay-floor-'))
  const program = join(directory, 'app.cjs')
  writeFileSync(program, sampleProgram)
  const times: number[] = []
  try {
    for (let n = 0; n < 20; n++) {
      const port = await findFreePort()
      const startedAt = performance.now()
      const app = spawn(process.execPath, [program, 'floor'], { env: { PORT: String(port) }, stdio: 'ignore' })
      const agent = new Agent()
      while ((await ask(`http://127.0.0.1:${String(port)}/healthz`, agent)) !== 'true')
        await new Promise((next) => setTimeout(next, 3))
      times.push(performance.now() - startedAt)
      app.kill('SIGKILL')
      await once(app, 'close')
    }
    return times
  } finally {
    rmSync(directory, { recursive: true })
  }
}
