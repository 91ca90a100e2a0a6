import { Command, Option } from 'commander'
import type { Plan } from '../domain/plan.ts'
import { BelayError } from '../domain/errors.ts'
import { triggerEvents, type Trigger } from '../domain/trigger.ts'
import { compilePipeline } from '../pipeline/compile.ts'
import { digestPlan } from '../pipeline/digest-plan.ts'
import { explainPlan, type PlanExplanation } from '../pipeline/explain-plan.ts'
import { formatProblem } from '../pipeline/format-problem.ts'
import type { PipelineFile } from '../pipeline/parse.ts'
import { validatePipeline } from '../pipeline/validate.ts'
import { paint, printJson, printTable } from './format.ts'
import type { Io } from './io.ts'
import { findGitHead } from './pipeline/git-head.ts'
import { assumedRules, rulesOfConfig } from './pipeline/local-rules.ts'
import { readPipelineFiles } from './pipeline/pipeline-files.ts'
import { printable } from './terminal-text.ts'

interface PlanFlags {
  branch?: string
  event: Trigger['event']
  config?: string
  project?: string
  json?: true
}

export function planCommand(io: Io): Command {
  return new Command('plan')
    .description('what a pipeline would do: waves, segments and undo stack, without a server')
    .argument('[file]', 'default: all of .belay.yml and .belay/*.yml')
    .option('-b, --branch <name>', 'as if on this branch (default: the one checked out)')
    .addOption(new Option('-e, --event <event>', 'as if started by this').choices(triggerEvents).default('push'))
    .option('-c, --config <file>', "by the operator's configuration (default: environments and secrets are taken to be there)")
    .option('-p, --project <name>', 'the project in it, if there is more than one')
    .option('--json', 'print JSON')
    .action(async (named: string | undefined, flags: PlanFlags) => {
      const head = await findGitHead(io)
      const branch = flags.branch ?? head?.branch ?? 'main'
      const trigger: Trigger = {
        event: flags.event,
        source: 'api',
        ref: `refs/heads/${branch}`,
        branch,
        sha: head?.sha ?? '0'.repeat(40),
        actor: { id: 'local', name: 'local' },
        title: '',
      }
      const plans = []
      for (const file of readPipelineFiles(io, named === undefined ? [] : [named])) {
        const compiled = await compileFile(io, file, trigger, flags)
        if ('skipped' in compiled) {
          if (flags.json !== true) io.out(`${file.path}: nothing to do (${printable(compiled.skipped)})\n`)
          plans.push({ path: file.path, skipped: compiled.skipped })
          continue
        }
        const explanation = explainPlan(compiled.plan)
        plans.push({ path: file.path, digest: digestPlan(compiled.plan), plan: compiled.plan, explanation })
        if (flags.json !== true) printPlan(io, compiled.plan, explanation)
      }
      if (flags.json === true) printJson(io, { branch, event: flags.event, plans })
    })
}

/** Throws `invalid_pipeline` with every problem, as `validate` prints them. */
async function compileFile(
  io: Io,
  file: PipelineFile,
  trigger: Trigger,
  flags: PlanFlags,
): Promise<{ plan: Plan } | { skipped: string }> {
  const read = validatePipeline(file)
  if ('problems' in read) throw invalid(file, read.problems)
  const rules = flags.config === undefined ? assumedRules(read.document) : await rulesOfConfig(io, flags.config, flags.project)
  const compiled = compilePipeline({ document: read.document, trigger, rules })
  if ('problems' in compiled) throw invalid(file, compiled.problems)
  return compiled
}

function invalid(file: PipelineFile, problems: readonly Parameters<typeof formatProblem>[0][]): BelayError {
  return new BelayError({
    code: 'invalid_pipeline',
    message: problems.map((problem) => formatProblem(problem, file.text)).join('\n\n'),
  })
}

function printPlan(io: Io, plan: Plan, explanation: PlanExplanation): void {
  const heading = (text: string) => io.out(`\n${paint(io, 'bold', text)}\n`)
  io.out(`${paint(io, 'bold', printable(plan.pipeline))} (${plan.file})  ${digestPlan(plan)}\n`)
  heading('waves: what may start together')
  printTable(
    io,
    explanation.waves.map((wave, index) => [`  ${String(index + 1)}`, wave.map((id) => describeStep(plan, id)).join(', ')]),
  )
  heading('segments: what a runner does in one go')
  printTable(
    io,
    explanation.segments.map((segment) => [`  ${String(segment.id)}`, segment.steps.join(', ')]),
  )
  if (explanation.releases.length > 0) {
    heading('releases')
    printTable(
      io,
      explanation.releases.map(({ step, from, version, implied }) => [
        `  ${step}`,
        `from ${from.join(', ')}${version === undefined ? '' : `, version ${printable(version)}`}`,
        implied ? '(implied: the only image is the release)' : '',
      ]),
    )
  }
  if (explanation.deployments.length > 0) {
    heading('deployments')
    printTable(
      io,
      explanation.deployments.map((deployment) => [
        `  ${deployment.step}`,
        describeDeployment(deployment),
        printable(deployment.migration ?? ''),
      ]),
    )
  }
  heading('undo stack: what is taken back, in this order, if the run fails, errors, times out or is cancelled')
  if (explanation.undo.length === 0) io.out('  nothing\n')
  printTable(
    io,
    explanation.undo.map(({ step, does, until }) => [
      `  ${step}`,
      `${printable(does)}${until === undefined ? '' : `; not any more once ${until.join(' or ')} has succeeded`}`,
    ]),
  )
  if (explanation.settles.length > 0) {
    heading('settling points: what is not taken back any more once they have succeeded')
    printTable(
      io,
      explanation.settles.map(({ step, discharges }) => [
        `  ${step}`,
        discharges.length === 0 ? 'nothing is owed before it' : discharges.join(', '),
      ]),
    )
  }
  if (explanation.skipped.length > 0) {
    heading('skipped')
    printTable(
      io,
      explanation.skipped.map(({ step, reason }) => [`  ${step}`, printable(reason)]),
    )
  }
  if (explanation.finally.length > 0) {
    heading('finally')
    printTable(
      io,
      explanation.finally.map(({ step, on, skip }) => [`  ${step}`, `on ${on}`, printable(skip ?? '')]),
    )
  }
}

function describeDeployment({ environments, atOnce }: PlanExplanation['deployments'][number]): string {
  const many = environments.length > 1
  const pace = !many ? '' : atOnce < environments.length ? `, ${String(atOnce)} at once` : ', all at once'
  return `to ${environments.map(printable).join(', ')}${pace}`
}

function describeStep(plan: Plan, id: string): string {
  const kind = plan.steps.find((step) => step.id === id)?.kind
  return kind === undefined || kind === 'commands' ? id : `${id} (${kind})`
}
