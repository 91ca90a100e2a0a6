/**
 * Commands: a step that was not interrupted ends once per attempt, and what succeeded does not begin again. Interruptions
 * are told by the epochs that an attempt was begun under.
 */
import { groupBy } from '../../collections.ts'
import type { Effect } from '../../effects.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'

export function checkCommands(memory: Memory, finding: FindingWriter): void {
  const known = new Map(memory.runs.map((one) => [one.run.id, one]))
  const notes = memory.effects.lines.filter(({ kind }) => kind !== 'undo')
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
    if (ends > Math.max(1, epochs.length)) finding.blame(about, `ended ${String(ends)} times; ${under}`)
    if (ends > begins) finding.blame(about, `began ${String(begins)} times and ended ${String(ends)} times`)
    if (!isStepOf(one, step)) finding.blame(about, `ran, and the plan has no step ${key}`)
  }
  for (const step of new Set(effects.map((effect) => effect.step))) checkOrder(one, step, effects, finding)
}

/** Who needs a step begins when its outcome is on disk: from then on the step is finished. */
function checkOrder(one: RunMemory, step: string, effects: readonly Effect[], finding: FindingWriter): void {
  const dependants = new Set(one.plan?.steps.filter(({ needs }) => needs.includes(step)).map(({ id }) => id))
  const ended = effects.findIndex((effect) => effect.step === step && effect.kind === 'end')
  if (ended === -1) return
  const passed = effects.findIndex((effect, index) => index > ended && effect.kind === 'begin' && dependants.has(effect.step))
  if (passed === -1) return
  const finished = effects[ended]
  const again = effects.slice(passed).find((effect) => effect.step === step && effect.kind === 'begin')
  if (again === undefined) return
  const facts = `ended at attempt ${String(finished?.attempt)}, ${String(effects[passed]?.step)} began after it, and it began again at attempt ${String(again.attempt)}`
  const isAnew = again.attempt > Number(finished?.attempt) && mayGoBack(one)
  if (!isAnew) finding.blame(`run ${one.run.id}, step ${step}`, facts)
}

/** By the run's own events: under a later epoch no attempt begins of what had succeeded. */
function checkSteps(memory: Memory, one: RunMemory, finding: FindingWriter): void {
  const changes = one.events.flatMap(({ body }) => (body.type === 'step' ? [body.change] : []))
  for (const [index, done] of changes.entries()) {
    if (done.status !== 'succeeded') continue
    const again = changes
      .slice(index + 1)
      .find(
        ({ step, status, epoch, attempt }) =>
          step === done.step && status === 'running' && (epoch > done.epoch || attempt > done.attempt),
      )
    if (again === undefined || (again.attempt > done.attempt && (mayGoBack(one) || wasRetried(memory, one)))) continue
    finding.blame(
      `run ${one.run.id}, step ${done.step}`,
      `succeeded at attempt ${String(done.attempt)} under epoch ${String(done.epoch)}, and ran again at attempt ${String(again.attempt)} under epoch ${String(again.epoch)}`,
    )
  }
  const wins = groupBy(
    one.steps.filter(({ status }) => status === 'succeeded'),
    ({ step }) => step,
  )
  for (const [step, rows] of wins) {
    if (rows.length === 1 || mayGoBack(one) || wasRetried(memory, one)) continue
    finding.blame(`run ${one.run.id}, step ${step}`, `succeeded at the attempts ${rows.map(({ attempt }) => attempt).join(', ')}`)
  }
}

/** Its workspace was lost, and another took its place: what lay under no checkpoint runs again, as a new attempt. */
function mayGoBack({ events }: RunMemory): boolean {
  const workspaces = events.flatMap(({ body }) => (body.type === 'workspace' ? [body] : []))
  const runners = new Set(workspaces.filter(({ status }) => status === 'opened').map(({ runner }) => runner))
  return runners.size > 1 || workspaces.some(({ status }) => status === 'lost')
}

/** A person has had the run go on once more, under a workflow of its own. */
function wasRetried({ executions }: Memory, { run }: RunMemory): boolean {
  return executions.some(({ workflowId }) => workflowId.startsWith(`run/${run.id}/retry-`))
}

/** The epochs under which an attempt was begun, by its logs, its news and its row. */
function epochsOf({ logs }: Memory, { run, steps, events }: RunMemory, step: string, attempt: number): number[] {
  const isIt = (other: { step: string; attempt: number }) => other.step === step && other.attempt === attempt
  const byLog = logs.filter((log) => log.runId === run.id && log.part !== 'undo' && isIt(log))
  const told = events.flatMap(({ body }) => (body.type === 'step' && isIt(body.change) ? [body.change] : []))
  return [...new Set([...byLog, ...told, ...steps.filter(isIt)].map(({ epoch }) => epoch))].toSorted((a, b) => a - b)
}

function isStepOf({ plan }: RunMemory, id: string): boolean {
  return plan !== undefined && [...plan.steps, ...plan.finally].some((step) => step.id === id)
}
