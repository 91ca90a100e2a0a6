import type { CompileInput, CompileResult, PipelineFile } from '../contract/activities.ts'
import { compilePipeline } from '../pipeline/compile.ts'
import { digestPlan } from '../pipeline/digest-plan.ts'
import type { PipelineDocument } from '../pipeline/document.ts'
import { formatProblem } from '../pipeline/format-problem.ts'
import { matchesTrigger } from '../pipeline/matches-trigger.ts'
import type { Problem } from '../pipeline/problem.ts'
import type { ProjectRules } from '../pipeline/project-rules.ts'
import { validatePipeline } from '../pipeline/validate.ts'
import type { Store } from '../store/store.ts'

export interface CompileDeps {
  store: Store
  findRules(project: string): ProjectRules | undefined
}

/** From the bytes that the runner read to the Plan: checked against the project, stored by digest. */
export async function compileRun(deps: CompileDeps, input: CompileInput): Promise<CompileResult> {
  const { run, files } = input
  const rules = deps.findRules(run.project)
  if (rules === undefined) return { type: 'invalid', reason: `the project "${run.project}" is not configured any more` }
  if (files.length === 0) return { type: 'skipped', reason: 'the commit has no .belay.yml and no .belay/*.yml' }

  const read = readAll(files, rules)
  if (read.type === 'invalid') return read
  const chosen = choose(read.documents, input)
  if (chosen.type !== 'chosen') return chosen

  // Before anything that may go wrong with this one: the others have matched, too.
  if (chosen.others.length > 0) await deps.store.runs.startSiblings({ runId: run.id, pipelines: chosen.others })
  if (input.othersOnly === true) return { type: 'skipped', reason: 'only the others were asked for' }
  const compiled = compilePipeline({ document: chosen.document, trigger: run.trigger, rules })
  if ('problems' in compiled) return { type: 'invalid', reason: describe(compiled.problems, files) }
  if ('skipped' in compiled) return { type: 'skipped', reason: compiled.skipped }
  const { plan } = compiled
  const planDigest = digestPlan(plan)
  // First: a run with a Plan and without a holder is one that was begun before there were notes.
  if (input.holder !== undefined) await deps.store.holders.note({ runId: run.id, ...input.holder })
  await deps.store.runs.savePlan({ runId: run.id, plan, planDigest })
  return { type: 'planned', plan, planDigest }
}

type Documents = { type: 'read'; documents: PipelineDocument[] } | { type: 'invalid'; reason: string }

function readAll(files: readonly PipelineFile[], rules: ProjectRules): Documents {
  const documents: PipelineDocument[] = []
  const problems: Problem[] = []
  for (const file of files) {
    const validated = validatePipeline(file, rules)
    if ('problems' in validated) problems.push(...validated.problems)
    else documents.push(validated.document)
  }
  return problems.length > 0 ? { type: 'invalid', reason: describe(problems, files) } : { type: 'read', documents }
}

type Choice =
  | { type: 'chosen'; document: PipelineDocument; others: string[] }
  | { type: 'skipped'; reason: string }
  | { type: 'invalid'; reason: string }

/** The run's own pipeline, or the first that matches; the others that match get runs of their own. */
function choose(documents: readonly PipelineDocument[], { run }: CompileInput): Choice {
  const twice = documents.find((document, index) => documents.findIndex(({ name }) => name === document.name) !== index)
  if (twice !== undefined) return { type: 'invalid', reason: `two pipelines are named "${twice.name}"` }
  if (run.pipeline !== undefined) {
    const named = documents.find(({ name }) => name === run.pipeline)
    if (named !== undefined) return { type: 'chosen', document: named, others: [] }
    return {
      type: 'invalid',
      reason: `the commit has no pipeline "${run.pipeline}"; it has ${documents.map(({ name }) => name).join(', ')}`,
    }
  }
  const answers = documents.map((document) => ({ document, answer: matchesTrigger(document, run.trigger) }))
  const [first, ...others] = answers.filter(({ answer }) => answer === true)
  if (first === undefined)
    return { type: 'skipped', reason: answers.map(({ document, answer }) => `${document.name}: ${String(answer)}`).join('; ') }
  return { type: 'chosen', document: first.document, others: others.map(({ document }) => document.name) }
}

function describe(problems: readonly Problem[], files: readonly PipelineFile[]): string {
  const textOf = (path: string): string => files.find((file) => file.path === path)?.text ?? ''
  return problems
    .slice(0, 10)
    .map((problem) => formatProblem(problem, textOf(problem.path)))
    .join('\n')
}
