import { createHash } from 'node:crypto'

/** What one can wait for (see `hub.ts`). */
export const topics = {
  commands: 'commands',
  outbox: 'outbox',
  runEvents: (runId: string) => `events/${runId}`,
  log: (runId: string, step: string) => `log/${runId}/${shorten(step)}`,
} as const

/** A topic travels between processes in a message of limited size; a step's id is text of any length. */
function shorten(step: string): string {
  return step.length <= 100 ? step : createHash('sha256').update(step).digest('hex')
}
