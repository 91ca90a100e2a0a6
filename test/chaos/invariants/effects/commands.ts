/**
 * Commands: a step that was not interrupted ends once per attempt, and what succeeded does not begin again. Interruptions
 * are told by the epochs that an attempt was begun under.
 */
import { groupBy } from '../../collections.ts'
import type { Effect } from '../../effects.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'
import { begunIn, roundsOf, type Round } from '../../rounds.ts'

export function checkCommands(memory: Memory, finding: FindingWriter): void {
  const known = new Map(memory.runs.map((one) => [one.run.id, one]))
  const notes = memory.effects.lines.filter(({ kind }) => kind === 'begin' || kind === 'end')
  for (const [runId, effects] of groupBy(notes, (effect) => effect.runId)) {
    finding.look('commands', effects.length)
    const one = known.get(runId)
    if (one === undefined) finding.blame(`run ${runId}`, 'steps of it ran, and the store does not know it')
    else checkRun(memory, one, effects, finding)
  }
  for (const one of memory.runs) checkSteps(memory, one, finding)
}

/** By the notes. */
function checkRun(memory: Memory, one: RunMemory, effects: readonly Effect[], finding: FindingWriter): void {
  for (const [key, lines] of groupBy(effects, ({ step, attempt }) => `${step}/${String(attempt)}`)) {
    const [{ step, attempt } = { step: '', attempt: 0 }] = lines
    const about = `run ${one.run.id}, step ${step}, attempt ${String(attempt)}`
    const epochs = epochsOf(memory, one, step, attempt)
    const ends = lines.filter(({ kind }) => kind === 'end').length
    const begins = lines.length - ends
    const under = `it ran under the epochs [${epochs.join(', ')}]`
    const unheard = lostEpochs(one).filter((epoch) => !epochs.includes(epoch))
    if (ends > Math.max(1, epochs.length + unheard.length)) finding.blame(about, `ended ${String(ends)} times; ${under}`)
    if (ends > begins) finding.blame(about, `began ${String(begins)} times and ended ${String(ends)} times`)
    if (!isStepOf(one, step)) finding.blame(about, `ran, and the plan has no step ${key}`)
  }
  for (const step of new Set(effects.map((effect) => effect.step))) checkOrder(memory, one, step, effects, finding)
}

/** What was begun under these may have ended, and whoever did it was lost before anybody heard of it: neither log nor news is taken then. */
function lostEpochs({ events }: RunMemory): number[] {
  return events.flatMap(({ body }) => (body.type === 'workspace' && body.status === 'lost' ? [body.epoch] : []))
}

/** Who needs a step begins when its outcome is on disk: from then on the step is finished. */
function checkOrder(memory: Memory, one: RunMemory, step: string, effects: readonly Effect[], finding: FindingWriter): void {
  const dependants = new Set(one.plan?.steps.filter(({ needs }) => needs.includes(step)).map(({ id }) => id))
  const ended = effects.findIndex((effect) => effect.step === step && effect.kind === 'end')
  if (ended === -1) return
  const passed = effects.findIndex((effect, index) => index > ended && effect.kind === 'begin' && dependants.has(effect.step))
  if (passed === -1) return
  const finished = effects[ended]
  const again = effects.slice(passed).find((effect) => effect.step === step && effect.kind === 'begin')
  if (again === undefined) return
  const facts = `ended at attempt ${String(finished?.attempt)}, ${String(effects[passed]?.step)} began after it, and it began again at attempt ${String(again.attempt)}`
  // Of an end that nobody had heard of there is no next attempt.
  const isNext = again.attempt > Number(finished?.attempt) || lostEpochs(one).some((epoch) => !heardOf(one, step, epoch))
  const isAnew = isNext && mayRunAgain(memory, one, step, again.attempt)
  if (!isAnew) finding.blame(`run ${one.run.id}, step ${step}`, facts)
}

function heardOf({ events }: RunMemory, step: string, epoch: number): boolean {
  return events.some(
    ({ body }) =>
      body.type === 'step' && body.change.step === step && body.change.epoch === epoch && body.change.status === 'succeeded',
  )
}

/** By the run's own events: under a later epoch no attempt begins of what had succeeded. */
function checkSteps(memory: Memory, one: RunMemory, finding: FindingWriter): void {
  // Those of `finally` are looked at by themselves.
  const ofPlan = new Set(one.plan?.steps.map(({ id }) => id))
  const changes = one.events.flatMap(({ body }) => (body.type === 'step' && ofPlan.has(body.change.step) ? [body.change] : []))
  for (const [index, done] of changes.entries()) {
    if (done.status !== 'succeeded') continue
    const again = changes
      .slice(index + 1)
      .find(
        ({ step, status, epoch, attempt }) =>
          step === done.step && status === 'running' && (epoch > done.epoch || attempt > done.attempt),
      )
    if (again === undefined) continue
    if (again.attempt > done.attempt && mayRunAgain(memory, one, done.step, again.attempt)) continue
    finding.blame(
      `run ${one.run.id}, step ${done.step}`,
      `succeeded at attempt ${String(done.attempt)} under epoch ${String(done.epoch)}, and ran again at attempt ${String(again.attempt)} under epoch ${String(again.epoch)}`,
    )
  }
  const wins = groupBy(
    one.steps.filter(({ step, status }) => status === 'succeeded' && ofPlan.has(step)),
    ({ step }) => step,
  )
  for (const [step, rows] of wins) {
    const [, ...later] = rows.toSorted((a, b) => a.attempt - b.attempt)
    if (later.every(({ attempt }) => mayRunAgain(memory, one, step, attempt))) continue
    finding.blame(`run ${one.run.id}, step ${step}`, `succeeded at the attempts ${rows.map(({ attempt }) => attempt).join(', ')}`)
  }
}

/** What had succeeded runs again as that attempt: since its workspace was lost, or since a person wanted it or what it needs. */
function mayRunAgain(memory: Memory, one: RunMemory, step: string, attempt: number): boolean {
  const rounds = roundsOf(one)
  const round = rounds.findLast(({ number }) => (begunIn(rounds, number).get(step) ?? Infinity) <= attempt)
  // By the notes alone it is not known in which round it was.
  if (round === undefined) return rounds.some(mayGoBack)
  if (mayGoBack(round)) return true
  // Within a round nothing is done anew.
  const isFirst = begunIn(rounds, round.number).get(step) === attempt
  return isFirst && round.number > 0 && doneAgainIn(memory, one, rounds.slice(0, round.number)).has(step)
}

/** Its workspace was lost, and another took its place: what lay under no checkpoint runs again, as a new attempt. */
function mayGoBack({ events }: Round): boolean {
  const workspaces = events.flatMap(({ body }) => (body.type === 'workspace' ? [body] : []))
  const runners = new Set(workspaces.filter(({ status }) => status === 'opened').map(({ runner }) => runner))
  return runners.size > 1 || workspaces.some(({ status }) => status === 'lost')
}

/**
 * The steps that a round does again after these ones: what did not succeed, what was taken back, from where a person wanted it, and
 * whatever needs one of them. Written out again: what is checked must not be asked what is right.
 */
function doneAgainIn({ ledger }: Memory, { run, plan }: RunMemory, before: readonly Round[]): Set<string> {
  const last = new Map<string, string>()
  const takenBack = new Set<string>()
  for (const { body } of before.flatMap((round) => round.events)) {
    if (body.type === 'step') last.set(body.change.step, body.change.status)
    if (body.type === 'undo' && !['owed', 'discharged'].includes(body.item.status)) takenBack.add(body.item.step)
  }
  const asked = [...ledger.requests, ...ledger.unanswered].filter(({ kind, runId }) => kind === 'resume' && runId === run.id)
  const from = new Set(asked.flatMap((request) => request.from ?? []))
  const again = new Set<string>()
  for (let size = -1; size !== again.size;) {
    size = again.size
    for (const { id, needs } of plan?.steps ?? []) {
      const isDue = last.get(id) !== 'succeeded' || takenBack.has(id) || from.has(id)
      if (isDue || needs.some((need) => again.has(need))) again.add(id)
    }
  }
  return again
}

/** The epochs under which an attempt was begun, by its logs, its news and its row. */
export function epochsOf({ logs }: Memory, { run, steps, events }: RunMemory, step: string, attempt: number): number[] {
  const isIt = (other: { step: string; attempt: number }) => other.step === step && other.attempt === attempt
  const byLog = logs.filter((log) => log.runId === run.id && log.part !== 'undo' && isIt(log))
  const told = events.flatMap(({ body }) => (body.type === 'step' && isIt(body.change) ? [body.change] : []))
  return [...new Set([...byLog, ...told, ...steps.filter(isIt)].map(({ epoch }) => epoch))].toSorted((a, b) => a - b)
}

function isStepOf({ plan }: RunMemory, id: string): boolean {
  return plan !== undefined && [...plan.steps, ...plan.finally].some((step) => step.id === id)
}
