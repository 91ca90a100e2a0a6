import type { Client, RunRef } from '../api/client.ts'
import type { RunStatus } from '../domain/run.ts'
import { describeEvent } from './describe-event.ts'
import { paint, printJson } from './format.ts'
import type { Io } from './io.ts'

/** Tells what happens in a run until its end, and returns that; undefined if the user stopped watching. */
export async function followRun(client: Client, run: RunRef, io: Io, json: boolean): Promise<RunStatus | undefined> {
  for await (const item of client.followRun(run, { signal: io.signal })) {
    if (item.type === 'end') return item.status
    if (json) {
      printJson(io, item.event)
      continue
    }
    const line = describeEvent(io, item.event.body)
    const clock = new Date(item.event.at).toTimeString().slice(0, 8)
    if (line !== undefined) io.out(`${paint(io, 'gray', clock)}  ${line}\n`)
  }
  return undefined
}
