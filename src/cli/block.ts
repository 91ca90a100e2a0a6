import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { exitCodes } from '../domain/errors.ts'
import { askPatiently } from './ask-patiently.ts'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { printJson } from './format.ts'
import type { Io } from './io.ts'
import { wantedRelease } from './release-argument.ts'
import { printable } from './terminal-text.ts'
import { waitForDeployment } from './wait-for-deployment.ts'

interface BlockFlags extends CommonFlags {
  project?: string
  reason?: string
  rollback?: true
}

export function blockCommand(io: Io): Command {
  return releaseCommand('block', 'keep a release out of an environment for good', io)
    .option('--rollback', 'if it serves, or is being deployed: take it away')
    .addHelpText('after', '\nExit: 0 blocked, 4 blocked but could not be taken away.')
    .action(async (environment: string, release: string, flags: BlockFlags) => {
      const client = connect(flags, io)
      const body = { ...wantedRelease(release, flags), ...(flags.rollback === undefined ? {} : { rollback: true }) }
      const key = randomUUID()
      const accepted = await askPatiently(io, `belay envs ${environment}`, () => client.block(environment, body, key))
      const { serves, deploys, rollback, refused } = accepted
      const name = `release ${String(accepted.release.number)}`
      if (flags.json !== true) {
        io.out(`${name} is blocked in ${environment}\n`)
        if (refused.length > 0) io.out(`${String(refused.length)} queued deployments of it are refused\n`)
        if (flags.rollback === undefined && (serves || deploys))
          io.out(
            `it ${serves ? 'serves' : 'is being deployed'} there now, and goes on: \`belay rollback ${environment}\` takes it away\n`,
          )
        else if (deploys && rollback === undefined) io.out('it is being deployed there now, and is taken back\n')
        if (rollback !== undefined) io.out(`${environment} goes to release ${String(rollback.release)}\n`)
      }
      const requestId = rollback?.requestId
      const ended = requestId === undefined ? undefined : await waitForDeployment(client, { environment, requestId }, io)
      if (flags.json === true) printJson(io, { ...accepted, ...(ended === undefined ? {} : { deployment: ended }) })
      if (ended === undefined) return
      if (flags.json !== true)
        io.out(`${environment}: ${ended.status}${ended.reason === undefined ? '' : `: ${printable(ended.reason)}`}\n`)
      if (ended.status !== 'deployed') io.exitWith(exitCodes.rollbackFailed)
    })
}

export function unblockCommand(io: Io): Command {
  return releaseCommand('unblock', 'let a blocked release come again', io).action(
    async (environment: string, release: string, flags: BlockFlags) => {
      const client = connect(flags, io)
      const key = randomUUID()
      const body = wantedRelease(release, flags)
      const accepted = await askPatiently(io, `belay envs ${environment}`, () => client.unblock(environment, body, key))
      if (flags.json === true) return printJson(io, accepted)
      const may = accepted.still === undefined ? 'may come again' : `may not come all the same: ${printable(accepted.still)}`
      io.out(`${environment}: release ${String(accepted.release.number)} ${may}\n`)
    },
  )
}

function releaseCommand(name: string, description: string, io: Io): Command {
  return clientCommand(name, description, io)
    .argument('<environment>')
    .argument('<release>', 'number, project#number or image digest, as `belay releases` lists them')
    .addOption(projectOption())
    .option('-r, --reason <text>', 'why, for the others')
}
