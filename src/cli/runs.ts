import { InvalidArgumentError, type Command } from 'commander'
import { runStatuses, RunStatus } from '../domain/run.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { cell, formatAge, formatDuration, paintStatus, printJson, printTable, shortSha } from './format.ts'
import type { Io } from './io.ts'

interface RunsFlags extends CommonFlags {
  project?: string
  branch?: string
  status?: RunStatus
  limit: number
}

export function runsCommand(io: Io): Command {
  return clientCommand('runs', 'list runs, newest first', io)
    .option('-p, --project <name>', 'only of this project')
    .option('-b, --branch <name>', 'only of this branch')
    .option('-s, --status <status>', `only in this state: ${runStatuses.join(', ')}`, parseStatus)
    .option('-n, --limit <number>', 'how many, at most 200', parseLimit, 20)
    .action(async (flags: RunsFlags) => {
      const { project, branch, status, limit } = flags
      const page = await connect(flags, io).listRuns({ project, branch, status, limit })
      if (flags.json === true) {
        printJson(io, page)
        return
      }
      if (page.items.length === 0) {
        io.out('no runs\n')
        return
      }
      const rows = page.items.map((run) => [
        `${run.project}#${String(run.number)}`,
        paintStatus(io, run.status),
        cell(run.trigger.branch, 30),
        shortSha(run.trigger.sha),
        formatAge(run.createdAt),
        run.endedAt === undefined ? '' : formatDuration(run.endedAt - run.createdAt),
        cell(run.trigger.title),
      ])
      printTable(io, [['RUN', 'STATUS', 'BRANCH', 'COMMIT', 'CAME', 'TOOK', 'TITLE'], ...rows])
    })
}

function parseStatus(text: string): RunStatus {
  const status = RunStatus.safeParse(text)
  if (!status.success) throw new InvalidArgumentError(`One of ${runStatuses.join(', ')}.`)
  return status.data
}

export function parseLimit(text: string): number {
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > 200) throw new InvalidArgumentError('A number from 1 to 200.')
  return limit
}
