import { Command, CommanderError } from 'commander'
import { BelayError, errorCodes, exitCodes, messageOf } from '../domain/errors.ts'
import { blockCommand, unblockCommand } from './block.ts'
import { cancelCommand } from './cancel.ts'
import { deployCommand } from './deploy.ts'
import { doctorCommand } from './doctor.ts'
import { envsCommand } from './envs.ts'
import { paint } from './format.ts'
import { freezeCommand, unfreezeCommand } from './freeze.ts'
import { gcCommand } from './gc.ts'
import { healthCommand } from './health.ts'
import { initCommand } from './init.ts'
import type { Io } from './io.ts'
import { logsCommand } from './logs.ts'
import { planCommand } from './plan.ts'
import { releasesCommand } from './releases.ts'
import { rollbackCommand } from './rollback.ts'
import { runCommand } from './run.ts'
import { runnersCommand } from './runners.ts'
import { runsCommand } from './runs.ts'
import { serverCommand } from './server.ts'
import { retryCommand } from './retry.ts'
import { skipCommand } from './settle-undo.ts'
import { showCommand } from './show.ts'
import { tokenCommand } from './token.ts'
import { upCommand } from './up.ts'
import { validateCommand } from './validate.ts'
import { workerCommand } from './worker.ts'

/** Runs one command line (without node and script). Never throws: what went wrong is told on stderr and by the exit code. */
export async function runProgram(args: readonly string[], io: Io): Promise<void> {
  try {
    await createProgram(io).parseAsync([...args], { from: 'user' })
  } catch (error) {
    io.failWith(report(error, io))
  }
}

function createProgram(io: Io): Command {
  const program = new Command('belay')
    .description('Release pipelines that always end somewhere safe.')
    .version('0.1.0')
    .addHelpText(
      'after',
      '\nExit: 0 good, 1 the run failed, 2 usage, 3 rolled back, 4 rollback failed or blocked, 5 no server, 6 cancelled.',
    )
  const commands = [
    ...[upCommand(io), serverCommand(io), workerCommand(io)],
    ...[initCommand(io), validateCommand(io), planCommand(io)],
    ...[runCommand(io), runsCommand(io), showCommand(io), logsCommand(io), cancelCommand(io)],
    ...[retryCommand(io), skipCommand(io)],
    ...[envsCommand(io), releasesCommand(io), deployCommand(io), rollbackCommand(io)],
    ...[runnersCommand(io)],
    ...[freezeCommand(io), unfreezeCommand(io), blockCommand(io), unblockCommand(io)],
    ...[tokenCommand(io), doctorCommand(io), healthCommand(io)],
    ...[gcCommand(io)],
  ]
  for (const command of commands) program.addCommand(command)
  settle(program, io)
  return program
}

/** Every command writes through `io` and throws instead of ending the process. */
function settle(command: Command, io: Io): void {
  command.exitOverride().configureOutput({ writeOut: io.out, writeErr: io.err })
  for (const child of command.commands) settle(child, io)
}

function report(error: unknown, io: Io): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage
  io.err(`${paint(io, 'red', 'error:')} ${messageOf(error)}\n`)
  if (!(error instanceof BelayError)) {
    if (error instanceof Error && error.stack !== undefined) io.err(`${error.stack}\n`)
    return exitCodes.runFailed
  }
  if (error.hint !== undefined) io.err(`${paint(io, 'cyan', 'hint:')} ${error.hint}\n`)
  return errorCodes[error.code].exit
}
