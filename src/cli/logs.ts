import { InvalidArgumentError, type Command } from 'commander'
import type { Client, RunRef } from '../api/client.ts'
import type { LogQuery } from '../api/log-schemas.ts'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { findRunRef } from './find-run.ts'
import { paint, printJson } from './format.ts'
import type { Io } from './io.ts'
import { createLogFilter } from './terminal-text.ts'

interface LogsFlags extends CommonFlags {
  project?: string
  follow?: true
  attempt?: number
  undo?: true
}

export function logsCommand(io: Io): Command {
  return clientCommand('logs', 'what the steps of a run have printed', io)
    .argument('<run>', 'number or id')
    .argument('[step]', 'only this step')
    .addOption(projectOption())
    .option('-f, --follow', 'go on until the end')
    .option('--attempt <number>', 'only this attempt', parseAttempt)
    .option('--undo', "of the step's undo")
    .action(async (text: string, step: string | undefined, flags: LogsFlags) => {
      const client = connect(flags, io)
      const run = await findRunRef(client, text, flags.project)
      const query: LogQuery = {
        ...(flags.attempt === undefined ? {} : { attempt: flags.attempt }),
        ...(flags.undo === true ? { part: 'undo' as const } : {}),
      }
      const show = (name: string) =>
        showLog({ client, run, step: name, query, io, json: flags.json === true, follow: flags.follow === true })
      if (step !== undefined) {
        await show(step)
        return
      }
      for await (const name of stepsOf(client, run, flags.follow === true ? io.signal : undefined)) {
        if (flags.json !== true) io.out(`${paint(io, 'bold', `== ${name}`)}\n`)
        await show(name)
      }
    })
}

/** The steps that have begun, in that order; with a signal, also those that begin until the run ends. */
async function* stepsOf(client: Client, run: RunRef, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const seen = new Set<string>()
  if (signal === undefined) {
    for (const { step, startedAt } of (await client.getRun(run)).steps) if (startedAt !== undefined) seen.add(step)
    yield* seen
    return
  }
  for await (const item of client.followRun(run, { signal })) {
    if (item.type === 'end' || item.event.body.type !== 'step') continue
    const { step, status } = item.event.body.change
    if (status !== 'running' || seen.has(step)) continue
    seen.add(step)
    yield step
  }
}

interface ShowOptions {
  client: Client
  run: RunRef
  step: string
  query: LogQuery
  io: Io
  json: boolean
  follow: boolean
}

async function showLog({ client, run, step, query, io, json, follow }: ShowOptions): Promise<void> {
  // A terminal must not obey what a step printed; a pipe gets it as it is.
  const filter = io.terminal ? createLogFilter() : (text: string) => text
  if (!follow) {
    const decoder = new TextDecoder()
    for await (const bytes of client.readLog(run, step, query)) {
      const text = decoder.decode(bytes, { stream: true })
      if (json) printJson(io, { step, text })
      else io.out(filter(text))
    }
    return
  }
  for await (const item of client.followLog(run, step, { query, signal: io.signal })) {
    if (item.type === 'end') {
      if (item.truncated && !json) io.err('[belay] the log was full; the rest is lost\n')
    } else if (json) printJson(io, { step, ...item })
    else io.out(filter(item.text))
  }
}

function parseAttempt(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('A number from 1 on.')
  return Number(text)
}
