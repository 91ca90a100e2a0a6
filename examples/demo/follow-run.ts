import type { Run, StepRow } from '../../src/store/store.ts'
import type { StoredRunEvent } from '../../src/domain/run-event.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import type { System } from '../../test/helpers/system.ts'
import { short, type Story } from './story.ts'

/** Tells what happens in a run until it ends; `onEvent` sees every event first. */
export async function followRun(
  system: System,
  story: Story,
  runId: string,
  onEvent: (event: StoredRunEvent) => void = () => undefined,
): Promise<RunView> {
  for (let after = 0; ;) {
    const page = await patiently(() => system.api<{ items: StoredRunEvent[] }>(`/runs/${runId}/events?after=${String(after)}`))
    for (const event of page.items) {
      after = event.seq
      onEvent(event)
      const text = describe(event)
      if (text !== undefined) story.line(`${text}${timeOf(event)}`)
    }
    if (page.items.length > 0) continue
    const view = await patiently(() => system.api<RunView>(`/runs/${runId}`))
    if (isEndedRun(view.run.status)) return view
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

export interface RunView {
  run: Run
  steps: StepRow[]
}

/** The server may be restarting: asked again for a while. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (tries > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

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
