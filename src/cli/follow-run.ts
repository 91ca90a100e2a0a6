import type { Client, RunRef } from '../api/client.ts'
import type { RunEventBody } from '../domain/run-event.ts'
import type { RunStatus } from '../domain/run.ts'
import { describeEvent } from './describe-event.ts'
import { paint, printJson } from './format.ts'
import type { Io } from './io.ts'

export interface FollowLimits {
  /** Sequence number of the last event that is known already. */
  after?: number
  /** Where to stop watching before the run's end, and with what. */
  stopAt?(body: RunEventBody): RunStatus | undefined
}

/** Tells what happens in a run until its end, and returns that; undefined if the user stopped watching. */
export async function followRun(
  client: Client,
  run: RunRef,
  io: Io,
  json: boolean,
  { after, stopAt }: FollowLimits = {},
): Promise<RunStatus | undefined> {
  for await (const item of client.followRun(run, { signal: io.signal, ...(after === undefined ? {} : { after }) })) {
    if (item.type === 'end') return item.status
    if (json) printJson(io, item.event)
    else {
      const line = describeEvent(io, item.event.body)
      const clock = new Date(item.event.at).toTimeString().slice(0, 8)
      if (line !== undefined) io.out(`${paint(io, 'gray', clock)}  ${line}\n`)
    }
    const stopped = stopAt?.(item.event.body)
    if (stopped !== undefined) return stopped
  }
  return undefined
}
