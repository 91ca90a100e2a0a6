import { randomUUID } from 'node:crypto'
import { Option, type Command } from 'commander'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { findOnlyProject } from './find-run.ts'
import { followRun } from './follow-run.ts'
import { paintStatus, printJson, shortSha } from './format.ts'
import type { Io } from './io.ts'
import { exitCodeOf } from './run-exit.ts'
import { printable } from './terminal-text.ts'

interface RunFlags extends CommonFlags {
  project?: string
  branch?: string
  sha?: string
  pipeline?: string
  detach?: true
}

export function runCommand(io: Io): Command {
  return clientCommand('run', 'start a run and follow it to its end', io)
    .addOption(projectOption())
    .option('-b, --branch <name>', "the branch (default: the repository's default branch)")
    .addOption(new Option('-s, --sha <commit>', 'the commit, 40 digits (default: the head of the branch)'))
    .option('--pipeline <name>', 'the pipeline, if several match')
    .option('--detach', 'do not follow')
    .addHelpText(
      'after',
      '\nExit: 0 succeeded or skipped, 1 failed, 3 rolled back, 4 rollback failed or blocked, 5 no server, 6 cancelled.',
    )
    .action(async (flags: RunFlags) => {
      const client = connect(flags, io)
      const { branch, sha, pipeline } = flags
      const project = flags.project ?? (await findOnlyProject(client))
      const asked = { project, ...defined({ branch, sha, pipeline }) }
      const run = await client.startRun(asked, randomUUID())
      if (flags.detach === true || flags.json !== true) {
        if (flags.json === true) printJson(io, run)
        else io.out(`run ${String(run.number)} of ${printable(run.trigger.branch)} at ${shortSha(run.trigger.sha)}  ${run.url}\n`)
      }
      if (flags.detach === true) return
      const status = await followRun(client, { id: run.id }, io, flags.json === true)
      if (status === undefined) {
        io.err(
          `\nthe run goes on; \`belay logs -f ${String(run.number)}\` follows it, \`belay cancel ${String(run.number)}\` ends it\n`,
        )
        io.exitWith(130)
        return
      }
      if (flags.json !== true) io.out(`run ${String(run.number)} ${paintStatus(io, status)}\n`)
      io.exitWith(exitCodeOf(status))
    })
}

function defined<T extends Record<string, string | undefined>>(values: T): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: string }
}
