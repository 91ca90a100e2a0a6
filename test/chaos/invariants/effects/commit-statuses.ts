/** Commit statuses, by the forge's log: of each commit and pipeline the last word is the end of its newest run. */
import { groupBy } from '../../collections.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'
import type { RunStatus } from '../../../../src/domain/run.ts'

/** Written out again: what is checked must not be asked what is right. */
const stateOfEnd: Record<Exclude<RunStatus, 'queued' | 'running'>, string> = {
  succeeded: 'success',
  skipped: 'success',
  failed: 'failure',
  rolled_back: 'failure',
  errored: 'error',
  cancelled: 'error',
  rollback_failed: 'error',
  rollback_blocked: 'error',
}

export function checkCommitStatuses({ runs, world }: Memory, finding: FindingWriter): void {
  const told = groupBy(world.forge.taken, ({ path, context }) => `${path.split('/').at(-1) ?? ''} ${context}`)
  finding.look('commit statuses', world.forge.taken.length)
  const ended = runs.filter(({ run }) => run.status in stateOfEnd)
  const keys = groupBy(ended, (one) => `${one.run.trigger.sha} ${contextOf(one)}`)
  for (const [key, group] of keys) {
    const newest = group.reduce((a, b) => (a.run.number > b.run.number ? a : b))
    const last = told.get(key)?.at(-1)
    const about = `commit status ${key}`
    const { id, status } = newest.run
    if (last === undefined) {
      if (!isOvertaken(newest, runs)) finding.blame(about, `was never told; run ${id} ended ${status}`)
      continue
    }
    // The one without a pipeline's name is told of later runs, too.
    if (contextOf(newest) === 'belay') continue
    const wanted = stateOfEnd[status as keyof typeof stateOfEnd]
    if (last.state !== wanted || !last.target_url.endsWith(id)) {
      finding.blame(about, `the last word was ${last.state} (${last.description}, ${last.target_url}); run ${id} ended ${status}`)
    }
  }
  for (const [key, words] of told) {
    const last = words.at(-1)
    if (last?.state === 'pending' && !isGoingOn(runs, last.target_url))
      finding.blame(`commit status ${key}`, `is pending for ever: ${last.description}`)
  }
}

function contextOf({ run }: RunMemory): string {
  const name = run.pipelineName ?? run.pipeline
  return name === undefined ? 'belay' : `belay/${name}`
}

/** A run that ended without a pipeline's name says nothing if a newer one of its commit has a name. */
function isOvertaken(one: RunMemory, runs: readonly RunMemory[]): boolean {
  if (contextOf(one) !== 'belay') return false
  return runs.some((other) => {
    const { run } = other
    return run.number > one.run.number && run.trigger.sha === one.run.trigger.sha && contextOf(other) !== 'belay'
  })
}

function isGoingOn(runs: readonly RunMemory[], url: string): boolean {
  return runs.some(({ run }) => url.endsWith(run.id) && !(run.status in stateOfEnd))
}
