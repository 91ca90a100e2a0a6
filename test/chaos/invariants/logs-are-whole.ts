/** I6: the log of an attempt that ended is whole, that of one that was cut is a prefix without gap and says that it was cut. */
import { existsSync, readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isEndedRun } from '../../../src/domain/run.ts'
import { isEndedStep } from '../../../src/domain/step.ts'
import { logPath } from '../../../src/store/logs/paths.ts'
import type { LogInfo } from '../../../src/store/store.ts'
import { mapSome } from '../collections.ts'
import type { Ledger } from '../evidence.ts'
import { readLines } from '../expected-lines.ts'
import { createFinding, type Finding } from '../finding.ts'
import type { Memory, RunMemory } from '../memory.ts'

/** Ends of an attempt that ran to its own end: it has printed everything. */
const ranThrough: readonly string[] = ['succeeded', 'failed']
const atOnce = 8

export async function logsAreWhole({ world, logs, runs, ledger }: Memory): Promise<Finding> {
  const finding = createFinding('I6')
  const known = new Map(runs.map((one) => [one.run.id, one]))
  await mapSome(logs, atOnce, async (log) => {
    finding.look(`${log.part} logs`)
    const one = known.get(log.runId)
    if (one === undefined) finding.blame(tell(log), 'the store has no such run')
    else await checkLog(log, one)
  })
  for (const one of runs) checkMissing(finding, logs, one)
  return finding

  async function checkLog(log: LogInfo, one: RunMemory): Promise<void> {
    const blame = (facts: string) => finding.blame(tell(log), facts)
    const file = join(world.places.logs, logPath(log).file)
    const onDisk = existsSync(file) ? (await stat(file)).size : 0
    // What a killed server wrote past the committed end is not part of the log, until the next append writes over it.
    const isRight = log.closed ? onDisk === log.sizeBytes : onDisk >= log.sizeBytes
    if (!isRight) blame(`its row says ${String(log.sizeBytes)} bytes, the disk has ${String(onDisk)}`)
    if (log.truncated) blame('it was full, and its end was dropped')
    if (!log.closed && isEndedRun(one.run.status)) blame('it was never closed, and its run has ended')
    const text = existsSync(file) ? readFileSync(file).subarray(0, log.sizeBytes).toString('utf8') : ''
    checkText(log, one, { text, hadRoom: wasThereRoom(ledger, log, one), blame })
  }
}

interface Judged {
  text: string
  /** For what the step wrote: without, it fails at whatever line that is. */
  hadRoom: boolean
  blame: (facts: string) => void
}

function checkText(log: LogInfo, one: RunMemory, { text, hadRoom, blame }: Judged): void {
  const status = log.part === 'step' ? findEnd(log, one) : undefined
  const row = one.steps.find(({ step, attempt }) => step === log.step && attempt === log.attempt)
  const isReplaced = row === undefined || row.epoch > log.epoch
  // Of one that ended, and was lost with its runner afterwards, the last bytes may have been lost as well.
  const wasCut = log.part === 'step' && isReplaced && saysCut(text)
  // What a builder prints is its own.
  if (log.part === 'step' && !isCommand(one, log)) return
  const { whole, count, fault } = readLines(log.step, text)
  const isWhole = count !== undefined && whole === count
  if (fault !== undefined) blame(fault)
  // Whoever wrote it may have ended it, too, and was lost before it could tell how the step ended: then it is whole.
  const isUnheard = log.part === 'step' && isReplaced && status === undefined
  if (isUnheard && !wasCut && !isWhole) blame(`it was cut, and does not say so; it ends ${JSON.stringify(text.slice(-80))}`)
  const ranToItsEnd = status !== undefined && ranThrough.includes(status) && (status !== 'failed' || hadRoom)
  const mustBeWhole = !wasCut && ranToItsEnd
  if (mustBeWhole && fault === undefined && !isWhole) {
    blame(`its attempt ${status}, and it has ${String(whole)} of ${String(count ?? 'no')} lines`)
  }
}

function wasThereRoom({ faults }: Pick<Ledger, 'faults'>, { step, attempt }: LogInfo, { steps }: RunMemory): boolean {
  const row = steps.find((other) => other.step === step && other.attempt === attempt)
  const { startedAt = 0, endedAt = Infinity } = row ?? {}
  return !faults.some(
    ({ name, at, healedAt = Infinity }) => name === 'disk workspace full' && at <= endedAt && healedAt >= startedAt,
  )
}

/** How the attempt ended under the epoch of its log: by its row, or by the news before that was replaced. */
function findEnd({ step, attempt, epoch }: LogInfo, { steps, events }: RunMemory): string | undefined {
  const told = events.flatMap(({ body }) => (body.type === 'step' ? [body.change] : []))
  const changes = [...told, ...steps].filter((one) => one.step === step && one.attempt === attempt && one.epoch === epoch)
  return changes.findLast(({ status }) => isEndedStep(status))?.status
}

/** An attempt that ran to its end has a log. */
function checkMissing(finding: ReturnType<typeof createFinding>, logs: readonly LogInfo[], one: RunMemory): void {
  for (const { step, attempt, epoch, status } of one.steps) {
    if (!ranThrough.includes(status) || !isCommand(one, { step })) continue
    const has = logs.some(
      (log) => log.runId === one.run.id && log.step === step && log.attempt === attempt && log.epoch === epoch,
    )
    if (!has)
      finding.blame(
        `run ${one.run.id}, step ${step}, attempt ${String(attempt)}`,
        `${status} under epoch ${String(epoch)}, and has no log`,
      )
  }
}

function isCommand({ plan }: RunMemory, { step }: Pick<LogInfo, 'step'>): boolean {
  return plan?.steps.find(({ id }) => id === step)?.kind === 'commands'
}

function saysCut(text: string): boolean {
  return text.trimEnd().split('\n').at(-1)?.startsWith('[belay] cut off') === true
}

function tell({ runId, step, attempt, epoch, part }: LogInfo): string {
  return `run ${runId}, log of ${part} ${step}, attempt ${String(attempt)}, epoch ${String(epoch)}`
}
