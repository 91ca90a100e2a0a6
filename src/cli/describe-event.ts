import { assertNever } from '../domain/errors.ts'
import type { RunEventBody, StepChange, UndoItem } from '../domain/run-event.ts'
import { formatDuration, paint, paintStatus, shortDigest } from './format.ts'
import type { Io } from './io.ts'
import { printable } from './terminal-text.ts'

/** One event of a run as a line for people; undefined for what adds nothing. */
export function describeEvent(io: Io, body: RunEventBody): string | undefined {
  switch (body.type) {
    case 'run':
      return `run ${paintStatus(io, body.status)}${because(body.reason)}`
    case 'planned':
      return `planned ${printable(body.pipeline)}: ${body.steps.join(', ')}`
    case 'workspace':
      return body.status === 'closed'
        ? undefined
        : `workspace ${body.status} on ${printable(body.runner)} (epoch ${String(body.epoch)})`
    case 'step':
      return describeStep(io, body.change)
    case 'undo':
      return body.item.status === 'owed'
        ? undefined
        : `undo ${nameOfUndo(body.item)}: ${body.item.status} (${printable(body.item.does)})${because(body.item.reason)}`
    case 'deployment': {
      const from = body.previousDigest === undefined ? '' : `, was ${shortDigest(body.previousDigest)}`
      const what = `release ${String(body.release)} ${shortDigest(body.digest)}${from}`
      return `${body.environment}: ${body.phase} ${body.status} (${what})${because(body.reason)}`
    }
    case 'waiting':
      return `waiting for ${printable(body.for)}`
    default:
      return assertNever(body)
  }
}

/** Of a group with the environment: `ship (eu)`. */
export function nameOfUndo({ step, environment }: Pick<UndoItem, 'step' | 'environment'>): string {
  return environment === undefined ? step : `${step} (${printable(environment)})`
}

function describeStep(io: Io, change: StepChange): string | undefined {
  if (change.status === 'queued') return undefined
  const attempt = change.attempt > 1 ? ` (attempt ${String(change.attempt)})` : ''
  const took =
    change.startedAt === undefined || change.endedAt === undefined
      ? ''
      : ` in ${formatDuration(change.endedAt - change.startedAt)}`
  const line = `${change.step}${attempt} ${paintStatus(io, change.status)}${took}${because(change.reason)}`
  if (change.tail === undefined || change.tail === '') return line
  const tail = change.tail
    .trimEnd()
    .split('\n')
    .map((text) => `  | ${printable(text)}`)
  return [line, ...tail.map((text) => paint(io, 'gray', text))].join('\n')
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${printable(reason)}`
}
