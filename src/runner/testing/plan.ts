import type { Plan, PlanStep, RunnerStep } from '../../domain/plan.ts'
import type { RunIdentity } from '../../domain/run.ts'

type CommandsStep = Extract<RunnerStep, { kind: 'commands' }>

/** A step that needs the given ones. For tests. */
export function commandsStep(id: string, lines: string[], over: Partial<Omit<CommandsStep, 'kind' | 'id'>> = {}): CommandsStep {
  return {
    id,
    kind: 'commands',
    needs: [],
    env: {},
    timeoutMs: 30_000,
    retry: { max: 0, on: ['failed', 'errored', 'timed_out'], exitCodes: [], backoffMs: 0 },
    commands: { lines, shell: 'sh', workingDirectory: '.' },
    segment: 0,
    ...over,
  }
}

/** All runner steps lie in the segments that they name. For tests. */
export function planOf(steps: PlanStep[]): Plan {
  const numbers = [...new Set(steps.flatMap((step) => ('segment' in step ? [step.segment] : [])))]
  const segments = numbers.map((id) => ({
    id,
    steps: steps.flatMap((step) => ('segment' in step && step.segment === id ? [step.id] : [])),
  }))
  return { rules: 2, pipeline: 'release', file: '.belay.yml', timeoutMs: 60_000, steps, segments, finally: [] }
}

/** For tests. */
export function runOf(id: string, sha: string): RunIdentity {
  const actor = { id: 'github:1', name: 'ana' }
  const trigger = {
    event: 'push',
    source: 'hook',
    ref: 'refs/heads/main',
    branch: 'main',
    sha,
    actor,
    title: 'a change',
  } as const
  return { id, number: 7, project: 'shop', sequence: 1, trigger }
}
