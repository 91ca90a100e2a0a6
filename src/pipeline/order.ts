import type { PipelineSketch, StepSketch } from './document.ts'
import type { Node } from './graph.ts'

/**
 * Needs, written or implied. Without `stages` a step without `needs` follows the step written above it; with them it
 * follows every step of the earlier stages. Needs of steps that are not there are left out: `lintReferences` has them.
 */
export function resolveNeeds({ steps, stages }: Pick<PipelineSketch, 'steps' | 'stages'>): Node[] {
  const known = new Set(steps.map((step) => step.id))
  return steps.map((step, index) => {
    if (step.needs !== undefined) return { id: step.id, needs: [...new Set(step.needs)].filter((need) => known.has(need)) }
    if (stages !== undefined) return { id: step.id, needs: inEarlierStages(step, steps, stages) }
    const above = steps[index - 1]
    return { id: step.id, needs: above === undefined ? [] : [above.id] }
  })
}

function inEarlierStages(step: StepSketch, steps: readonly StepSketch[], stages: readonly string[]): string[] {
  const stage = stageIndex(step, stages)
  return steps.filter((other) => stageIndex(other, stages) < stage).map((other) => other.id)
}

/** Place of a step's stage in their order; NaN, and so before and after nothing, where it has none. */
export function stageIndex(step: StepSketch, stages: readonly string[]): number {
  const index = step.stage === undefined ? -1 : stages.indexOf(step.stage)
  return index === -1 ? Number.NaN : index
}
