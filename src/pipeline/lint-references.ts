import type { PipelineSketch, StepSketch } from './document.ts'
import { findCycles } from './graph.ts'
import { suggestWord } from './nearest-word.ts'
import { resolveNeeds, stageIndex } from './order.ts'
import type { Problem } from './problem.ts'
import { problemAtKey, problemAtValue, quote } from './problem.ts'

/** Do the names that steps use of each other and of stages exist, and does the order they make go forward? */
export function lintReferences(sketch: PipelineSketch): Problem[] {
  return [
    ...lintStageList(sketch),
    ...sketch.steps.flatMap((step) => [...lintStage(sketch, step), ...lintNeeds(sketch, step), ...lintFrom(sketch, step)]),
    ...lintCycles(sketch),
  ]
}

function lintStageList({ places, stages = [] }: PipelineSketch): Problem[] {
  return stages.flatMap((stage, index) => {
    if (stages.indexOf(stage) === index) return []
    return [
      problemAtValue(places, ['stages', index], { code: 'duplicate_key', message: `the stage ${quote(stage)} is there twice` }),
    ]
  })
}

function lintStage({ places, stages }: PipelineSketch, step: StepSketch): Problem[] {
  const path = ['steps', step.id, 'stage']
  if (stages === undefined) {
    if (step.stage === undefined) return []
    const hint = 'add `stages: […]` to the pipeline, or take `stage` out'
    return [problemAtKey(places, path, { code: 'unknown_stage', message: 'the pipeline has no `stages`', hint })]
  }
  if (step.stage === undefined) {
    const message = `step "${step.id}" names no stage`
    return [problemAtKey(places, path.slice(0, 2), { code: 'missing_key', message, hint: `add stage: ${stages.join(' | ')}` })]
  }
  if (stages.includes(step.stage)) return []
  const problem = {
    code: 'unknown_stage',
    message: `there is no stage ${quote(step.stage)}`,
    hint: suggestWord(step.stage, stages),
  } as const
  return [problemAtValue(places, path, problem)]
}

function lintNeeds({ places, stages, steps }: PipelineSketch, step: StepSketch): Problem[] {
  return (step.needs ?? []).flatMap((need, index) => {
    const path = ['steps', step.id, 'needs', index]
    const needed = steps.find((other) => other.id === need)
    if (needed === undefined) return [problemAtValue(places, path, unknownStep(need, steps, step.id))]
    if (stages === undefined || !(stageIndex(needed, stages) > stageIndex(step, stages))) return []
    const message = `"${need}" belongs to the later stage ${quote(needed.stage ?? '')}`
    const hint = 'a step may need steps of its own stage and of earlier ones'
    return [problemAtValue(places, path, { code: 'later_stage', message, hint })]
  })
}

function lintFrom({ places, steps }: PipelineSketch, step: StepSketch): Problem[] {
  if (step.body?.kind !== 'release') return []
  return step.body.release.from.flatMap((from, index) => {
    if (steps.some((other) => other.id === from)) return []
    return [problemAtValue(places, ['steps', step.id, 'release', 'from', index], unknownStep(from, steps, step.id))]
  })
}

function unknownStep(name: string, steps: readonly StepSketch[], self: string) {
  const others = steps.map((step) => step.id).filter((id) => id !== self)
  return { code: 'unknown_step', message: `there is no step ${quote(name)}`, hint: suggestWord(name, others) } as const
}

/** More circles than this are the same knot. */
const mostCycles = 10

function lintCycles(sketch: PipelineSketch): Problem[] {
  return findCycles(resolveNeeds(sketch))
    .slice(0, mostCycles)
    .map((cycle) => {
      const written = sketch.steps.find((step) => cycle.includes(step.id) && step.needs !== undefined)
      const first = written?.id ?? cycle[0] ?? ''
      const at = cycle.indexOf(first)
      const turn = [...cycle.slice(at), ...cycle.slice(0, at), first]
      const message = cycle.length === 1 ? `"${first}" needs itself` : `needs go in a circle: ${turn.slice(0, 12).join(' → ')}`
      const implied = cycle.some((id) => sketch.steps.find((step) => step.id === id)?.needs === undefined)
      const hint = implied
        ? 'a step without `needs` follows the step written above it; `needs: []` starts at once'
        : 'take one of these needs out'
      return problemAtKey(sketch.places, ['steps', first, 'needs'], { code: 'needs_cycle', message, hint })
    })
}
