import type { Command } from 'commander'
import type { RunDetail } from '../api/run-schemas.ts'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { nameOfUndo } from './describe-event.ts'
import { findRunRef } from './find-run.ts'
import { cell, formatDuration, formatTime, paint, paintStatus, printJson, printTable } from './format.ts'
import type { Io } from './io.ts'
import { findBlockedUndo } from './settle-undo.ts'
import { printable } from './terminal-text.ts'

export function showCommand(io: Io): Command {
  return clientCommand('show', 'one run: its steps and its undo stack', io)
    .argument('<run>', 'number or id')
    .addOption(projectOption())
    .action(async (text: string, flags: CommonFlags & { project?: string }) => {
      const client = connect(flags, io)
      const run = await client.getRun(await findRunRef(client, text, flags.project))
      if (flags.json === true) printJson(io, run)
      else printRun(io, run)
    })
}

function printRun(io: Io, run: RunDetail): void {
  const { trigger } = run
  const took = run.endedAt === undefined ? '' : `, took ${formatDuration(run.endedAt - run.createdAt)}`
  io.out(`${run.project}#${String(run.number)}  ${paintStatus(io, run.status)}  ${cell(trigger.title)}\n`)
  if (run.reason !== undefined) io.out(`  ${printable(run.reason)}\n`)
  io.out(`  ${trigger.event} by ${printable(trigger.actor.name)} on ${printable(trigger.branch)} at ${trigger.sha}\n`)
  io.out(`  came ${formatTime(run.createdAt)}${took}\n  ${run.url}\n`)
  const started = new Set(run.steps.map(({ step }) => step))
  const waiting = (run.plan?.steps ?? []).filter(({ id }) => !started.has(id))
  if (run.steps.length + waiting.length > 0) {
    io.out('\n')
    printTable(io, [
      ['STEP', 'ATTEMPT', 'STATUS', 'TOOK', ''],
      ...inOrder(run).map((row) => [
        row.step,
        String(row.attempt),
        paintStatus(io, row.status),
        row.startedAt === undefined || row.endedAt === undefined ? '' : formatDuration(row.endedAt - row.startedAt),
        cell(row.reason ?? resultOf(row.result), 100),
      ]),
      ...waiting.map(({ id, skip }) => [id, '', paint(io, 'gray', 'not started'), '', cell(skip ?? '', 100)]),
    ])
  }
  for (const { step, environment, for: what } of run.waits)
    io.out(`\n${step} waits for ${environment}${what === undefined ? ': others go first' : ` (${printable(what)})`}\n`)
  if (run.waiting !== undefined)
    io.out(`\n${paint(io, 'yellow', 'waiting')} for ${printable(run.waiting.for)}, since ${formatTime(run.waiting.since)}\n`)
  if (run.undo.length > 0) {
    io.out('\nundo stack, unwound from the top:\n')
    printTable(
      io,
      [...run.undo]
        .reverse()
        .map((item) => [`  ${nameOfUndo(item)}`, item.status, cell(item.does, 80), cell(item.reason ?? '', 80)]),
    )
  }
  printBlocked(io, run)
}

function printBlocked(io: Io, run: RunDetail): void {
  const blocked = findBlockedUndo(run)
  if (blocked === undefined) return
  const name = `${String(run.number)} --project ${run.project}`
  io.out(`\n${paint(io, 'red', 'blocked')}: the undo of "${nameOfUndo(blocked)}" could not be done${because(blocked.reason)}\n`)
  io.out(`  belay retry ${name}                 tries it again, when what hindered it is gone\n`)
  io.out(`  belay skip ${name} --reason "…"     gives it up for good: the run will end rollback_failed\n`)
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${printable(reason)}`
}

/** As they were written, attempts of a step together; `finally` steps last. */
function inOrder(run: RunDetail): RunDetail['steps'] {
  const place = new Map(
    [...(run.plan?.steps.map(({ id }) => id) ?? []), ...(run.plan?.finally ?? [])].map((id, index) => [id, index]),
  )
  const placeOf = (step: string) => place.get(step) ?? place.size
  return run.steps.toSorted((a, b) => placeOf(a.step) - placeOf(b.step) || a.attempt - b.attempt)
}

function resultOf(result: RunDetail['steps'][number]['result']): string {
  if (result?.image !== undefined) return `${result.image.repository}@${result.image.digest}`
  if (result?.release !== undefined) return `release ${String(result.release.number)}`
  if (result?.deployments !== undefined) return result.deployments.map(({ environment }) => environment).join(', ')
  if (result?.artifacts !== undefined && result.artifacts.length > 0) return `${String(result.artifacts.length)} artifacts`
  return ''
}
