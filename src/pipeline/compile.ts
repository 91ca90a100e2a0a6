import type { FinallyStep, Plan, PlanStep } from '../domain/plan.ts'
import { planLimits } from '../domain/plan.ts'
import type { Trigger } from '../domain/trigger.ts'
import { checkTargets } from './check-targets.ts'
import { compileFinally, compileStep } from './compile-step.ts'
import { defaults } from './defaults.ts'
import { canonicalJson } from './digest-plan.ts'
import type { PipelineDocument, StepSource } from './document.ts'
import { variablesOf } from './expressions.ts'
import type { Node } from './graph.ts'
import { addImpliedRelease, findImpliedRelease, needImpliedRelease } from './implied-release.ts'
import { lintPipeline } from './lint.ts'
import { matchesTrigger } from './matches-trigger.ts'
import { resolveNeeds } from './order.ts'
import type { Problem } from './problem.ts'
import { problemAtKey, sortProblems } from './problem.ts'
import type { ProjectRules } from './project-rules.ts'
import { checkRules } from './project-rules.ts'
import type { SegmentNode } from './segments.ts'
import { cutSegments } from './segments.ts'

export interface CompileInput {
  document: PipelineDocument
  trigger: Trigger
  rules: ProjectRules
}

/**
 * One pipeline and one trigger → the Plan of a run. Pure: the same input gives the same Plan, byte for byte.
 * `skipped`: the pipeline's `when` does not match. `problems`: the file is linted and held against the rules here too.
 */
export function compilePipeline({
  document,
  trigger,
  rules,
}: CompileInput): { plan: Plan } | { skipped: string } | { problems: Problem[] } {
  const match = matchesTrigger(document, trigger)
  if (match !== true) return { skipped: match }
  const problems = [...lintPipeline(document), ...checkRules(document, rules)]
  if (problems.length === 0) problems.push(...checkTargets(document, rules))
  if (problems.length > 0) return { problems: sortProblems(problems) }

  const sources = addImpliedRelease(document.steps)
  const nodes = orderOf(document, sources)
  const segments = cutSegments(sources.map((source, index) => segmentNode(source, nodes[index])))
  const variables = variablesOf(trigger)
  const steps: PlanStep[] = []
  sources.forEach((source, index) => {
    const segment = segments.findIndex((candidate) => candidate.steps.includes(source.id))
    const needs = [...(nodes[index]?.needs ?? [])]
    const compiled = compileStep({ document, trigger, variables, source, needs, segment, rules })
    if ('problems' in compiled) problems.push(...compiled.problems)
    else steps.push(compiled.step)
  })
  const last: FinallyStep[] = document.finally.map((source) => compileFinally({ document, trigger, source }))
  const { timeoutMs = defaults.runTimeoutMs } = document
  const plan: Plan = { rules: 2, pipeline: document.name, file: document.file, timeoutMs, steps, segments, finally: last }
  problems.push(...checkSize(document, plan))
  return problems.length > 0 ? { problems: sortProblems(problems) } : { plan }
}

/** Needs of all steps, in their order, those of the implied release among them. */
function orderOf(document: PipelineDocument, sources: readonly StepSource[]): Node[] {
  const nodes = resolveNeeds({ steps: sources, stages: document.stages })
  const implied = findImpliedRelease(document.steps)
  return implied === undefined ? nodes : needImpliedRelease(nodes, sources, implied)
}

/** Where something is decided or owed outside, or kept there, the runner must hand back what it knows. */
function segmentNode(source: StepSource, node: Node | undefined): SegmentNode {
  const needs = node?.needs ?? []
  if (source.kind !== 'commands' && source.kind !== 'build_image') return { id: source.id, needs, place: 'outside' }
  const { undo, checkpoint, settle } = source.spec
  const alone = source.kind === 'build_image' || undo !== undefined || checkpoint === true || settle === true
  return { id: source.id, needs, place: alone ? 'alone' : 'shared' }
}

function checkSize({ places }: PipelineDocument, plan: Plan): Problem[] {
  if (plan.steps.length > planLimits.steps) {
    const message = `the plan has ${plan.steps.length} steps, more than ${planLimits.steps}`
    return [problemAtKey(places, ['steps'], { code: 'too_many_steps', message })]
  }
  const bytes = Buffer.byteLength(canonicalJson(plan))
  if (bytes <= planLimits.bytes) return []
  const message = `the plan has ${bytes} bytes, more than ${planLimits.bytes}`
  const hint = 'long scripts belong into files of the repository; stages of many steps make many needs'
  return [problemAtKey(places, ['steps'], { code: 'too_large', message, hint })]
}
