import type { z } from 'zod'
import { planLimits } from '../domain/plan.ts'
import type { FinallySource, PipelineDocument, PipelineSketch, StepSketch, StepSource } from './document.ts'
import { checkExpressions } from './expressions.ts'
import { problemsOfIssues } from './issues.ts'
import { checkStepName, nameOfFile } from './names.ts'
import { lintReferences } from './lint-references.ts'
import type { KeyPath, Places, Problem } from './problem.ts'
import { problemAtKey, problemAtValue, sortProblems } from './problem.ts'
import { FinallySchema, HeadSchema, headShape, StepSchema, stepShape } from './schema.ts'
import { bodyOf, checkKind, kindOf } from './step-kinds.ts'
import type { ReadTree, Tree } from './yaml-tree.ts'
import { readTree } from './yaml-tree.ts'

export interface PipelineFile {
  /** Path in the repository: `.belay.yml`, `.belay/*.yml`. */
  path: string
  text: string
}

/**
 * Text → document, or everything that is wrong with it. Never throws, whatever the text; takes under a second, because
 * what is larger than the limits is given up at once.
 */
export function parsePipeline(file: PipelineFile): { document: PipelineDocument } | { problems: Problem[] } {
  const read = readPipeline(file)
  return 'document' in read ? read : { problems: sortProblems(read.problems) }
}

/** The same, with what could be saved of a file that is not whole: `validatePipeline` looks for more mistakes in it. */
export function readPipeline(
  file: PipelineFile,
): { document: PipelineDocument } | { sketch?: PipelineSketch; problems: Problem[] } {
  const read = readTree(file)
  if ('problems' in read) return read
  const { tree, places } = read
  if (!isMap(tree)) {
    const hint = 'begin with `steps:` and the steps below it'
    return { problems: [problemAtValue(places, [], { code: 'invalid_value', message: 'a pipeline is a map', hint })] }
  }
  return readDocument(file.path, { tree, places })
}

interface Collected {
  places: Places
  problems: Problem[]
}

function readDocument(file: string, { tree, places }: { tree: TreeMap; places: Places }): ReturnType<typeof readPipeline> {
  const collected: Collected = { places, problems: [] }
  const stepTrees = readEntries(collected, tree, 'steps')
  const finallyTrees = readEntries(collected, tree, 'finally')
  if (stepTrees.length + finallyTrees.length > planLimits.steps) {
    const message = `the pipeline has ${stepTrees.length + finallyTrees.length} steps, more than ${planLimits.steps}`
    return { problems: [problemAtKey(places, ['steps'], { code: 'too_many_steps', message })] }
  }
  collected.problems.push(...checkExpressions(places, tree))
  const head = check(collected, [], HeadSchema, tree)
  const steps = stepTrees.map(([id, step]) => readStep(collected, id, step))
  const last = finallyTrees.map(([id, step]) => readFinally(collected, id, step, stepTrees))

  const { problems } = collected
  if (head !== undefined && steps.every(isWhole) && last.every((step) => step !== undefined) && problems.length === 0) {
    const { name, when, timeout, stages, env, rollback } = head
    const read = {
      name: name ?? nameOfFile(file),
      when,
      timeoutMs: timeout,
      stages,
      env: env ?? {},
      rollbackTimeoutMs: rollback?.timeout,
    }
    return { document: { file, places, ...read, steps, finally: last } }
  }
  const whole = last.filter((step) => step !== undefined)
  const sketch: PipelineSketch = { places, stages: headShape.stages.safeParse(tree['stages']).data, steps, finally: whole }
  return { sketch, problems: [...problems, ...lintReferences(sketch)] }
}

function readStep(collected: Collected, id: string, tree: Tree): StepSketch | StepSource {
  const path = ['steps', id]
  const before = collected.problems.length
  collected.problems.push(...checkStepName(collected.places, path))
  const map = isMap(tree) ? tree : {}
  if (isMap(tree)) collected.problems.push(...checkKind(collected.places, path, tree))
  const spec = check(collected, path, StepSchema, tree)
  const body = spec === undefined ? undefined : bodyOf(spec)
  const kind = kindOf(map)
  if (spec !== undefined && body !== undefined && kind !== undefined && collected.problems.length === before) {
    return { id, stage: spec.stage, needs: spec.needs, kind, spec, body }
  }
  // What can be saved, so that mistakes elsewhere are still told apart from those that follow from this one.
  const needs = map['needs'] === undefined ? undefined : (stepShape.needs.safeParse(map['needs']).data ?? [])
  return { id, stage: stepShape.stage.safeParse(map['stage']).data, needs, ...(kind === undefined ? {} : { kind }) }
}

function readFinally(collected: Collected, id: string, tree: Tree, steps: readonly [string, Tree][]): FinallySource | undefined {
  const path = ['finally', id]
  const { places, problems } = collected
  const before = problems.length
  problems.push(...checkStepName(places, path))
  if (steps.some(([step]) => step === id)) {
    problems.push(problemAtKey(places, path, { code: 'duplicate_key', message: `"${id}" is the name of a step already` }))
  }
  if (isMap(tree)) problems.push(...checkKind(places, path, tree))
  const spec = check(collected, path, FinallySchema, tree)
  const lines = spec?.commands ?? spec?.script ?? spec?.run
  return spec === undefined || lines === undefined || problems.length > before ? undefined : { id, spec, lines }
}

/** The entries of a map of steps, whatever they hold. */
function readEntries({ places, problems }: Collected, tree: TreeMap, key: 'steps' | 'finally'): [string, Tree][] {
  const entries = tree[key]
  if (key === 'finally' && entries === undefined) return []
  if (entries === undefined) {
    problems.push(problemAtKey(places, [], { code: 'missing_key', message: 'a pipeline needs the key "steps"' }))
    return []
  }
  if (isMap(entries) && Object.keys(entries).length > 0) return Object.entries(entries)
  const hint = Array.isArray(entries)
    ? 'write each as `name:` with its keys below, without the dash'
    : 'write `name:` with `commands: […]` below'
  problems.push(
    problemAtValue(places, [key], { code: 'invalid_value', message: `"${key}" must be a map of steps, not empty`, hint }),
  )
  return []
}

function check<T>({ places, problems }: Collected, path: KeyPath, schema: z.ZodType<T>, tree: Tree): T | undefined {
  const result = schema.safeParse(tree, { reportInput: true })
  if (result.success) return result.data
  problems.push(...problemsOfIssues(places, path, result.error.issues))
  return undefined
}

type TreeMap = Extract<Tree, { [key: string]: Tree }>

function isMap(tree: ReadTree['tree']): tree is TreeMap {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree)
}

function isWhole(step: StepSketch | StepSource): step is StepSource {
  return 'spec' in step
}
