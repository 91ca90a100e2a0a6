import type { RunDetail } from '../../src/api/run-schemas.ts'
import type { StoredRunEvent } from '../../src/domain/run-event.ts'
import type { System } from '../../test/helpers/system.ts'
import { short, type Story } from './story.ts'

/** Tells what happens in a run until it ends; gives the run, its steps and all its events. */
export async function followRun(system: System, story: Story, runId: string): Promise<FollowedRun> {
  const events: StoredRunEvent[] = []
  for await (const item of system.client.followRun({ id: runId })) {
    if (item.type === 'end') continue
    events.push(item.event)
    const text = describe(item.event)
    if (text !== undefined) story.line(`${text}${timeOf(item.event)}`)
  }
  return { ...(await system.client.getRun({ id: runId })), events }
}

export type FollowedRun = RunDetail & { events: StoredRunEvent[] }

function timeOf(event: StoredRunEvent): string {
  return event.body.type === 'deployment' ? `  (${new Date(event.at).toISOString().slice(11, 23)})` : ''
}

function describe({ body }: StoredRunEvent): string | undefined {
  switch (body.type) {
    case 'step':
      return body.change.status === 'running'
        ? undefined
        : `step ${body.change.step}: ${body.change.status}${body.change.reason === undefined ? '' : ` – ${firstLine(body.change.reason)}`}`
    case 'deployment':
      return describeDeployment(body)
    case 'undo':
      return body.item.status === 'running' ? `undo of ${body.item.step}: ${body.item.does}` : undefined
    case 'run':
      return body.status === 'running' ? undefined : `run: ${body.status}`
    case 'workspace':
      return body.status === 'opened' ? `workspace on ${body.runner}` : undefined
    default:
      return undefined
  }
}

function describeDeployment(body: Extract<StoredRunEvent['body'], { type: 'deployment' }>): string | undefined {
  if (body.status === 'started') return undefined
  const before = body.previousDigest === undefined ? 'nothing' : short(body.previousDigest)
  if (body.status === 'failed')
    return `${body.environment}: ${body.phase} of release ${String(body.release)} failed – ${firstLine(body.reason ?? '')}`
  if (body.phase === 'activate') return `${body.environment}: traffic switched  ${before} → ${short(body.digest)}`
  if (body.phase === 'undo') return `${body.environment}: traffic switched back  ${short(body.digest)} → ${before}`
  return `${body.environment}: ${body.phase} of release ${String(body.release)} done`
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}
