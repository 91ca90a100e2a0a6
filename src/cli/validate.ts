import { Command } from 'commander'
import { exitCodes } from '../domain/errors.ts'
import { formatProblem } from '../pipeline/format-problem.ts'
import { validatePipeline } from '../pipeline/validate.ts'
import { printJson } from './format.ts'
import type { Io } from './io.ts'
import { rulesOfConfig } from './pipeline/local-rules.ts'
import { readPipelineFiles } from './pipeline/pipeline-files.ts'

interface ValidateFlags {
  config?: string
  project?: string
  json?: true
}

export function validateCommand(io: Io): Command {
  return new Command('validate')
    .description('check pipeline files, without a server')
    .argument('[files...]', 'default: .belay.yml and .belay/*.yml')
    .option('-c, --config <file>', "also check against the operator's configuration")
    .option('-p, --project <name>', 'the project in it, if there is more than one')
    .option('--json', 'print JSON')
    .action(async (named: string[], flags: ValidateFlags) => {
      const rules = flags.config === undefined ? undefined : await rulesOfConfig(io, flags.config, flags.project)
      const results = readPipelineFiles(io, named).map((file) => {
        const result = validatePipeline(file, rules)
        return { file, problems: 'problems' in result ? result.problems : [] }
      })
      const count = results.reduce((sum, { problems }) => sum + problems.length, 0)
      if (flags.json === true) {
        printJson(io, { files: results.map(({ file, problems }) => ({ path: file.path, problems })) })
      } else {
        for (const { file, problems } of results) {
          for (const problem of problems) io.err(`${formatProblem(problem, file.text)}\n\n`)
          if (problems.length === 0) io.out(`${file.path}: good\n`)
        }
        if (count > 0) io.err(`${String(count)} ${count === 1 ? 'problem' : 'problems'}\n`)
      }
      if (count > 0) io.exitWith(exitCodes.usage)
    })
}
