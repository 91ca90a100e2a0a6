import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import type { Client } from '../api/client.ts'
import type { Deployment } from '../domain/environment.ts'
import { exitCodes } from '../domain/errors.ts'
import { askPatiently } from './ask-patiently.ts'
import { clientCommand, projectOption, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { printJson, shortDigest } from './format.ts'
import type { Io } from './io.ts'
import { wantedRelease } from './release-argument.ts'
import { printable } from './terminal-text.ts'
import { waitForDeployment } from './wait-for-deployment.ts'

interface DeployFlags extends CommonFlags {
  project?: string
  reason?: string
  force?: true
  detach?: true
}

export function deployCommand(io: Io): Command {
  return clientCommand('deploy', 'put a release that exists into an environment', io)
    .argument('<environment>')
    .argument('<release>', 'number, project#number or image digest, as `belay releases` lists them')
    .addOption(projectOption())
    .option('-r, --reason <text>', 'why, for the others')
    .option('--force', 'also while it is frozen; needs --reason')
    .option('--detach', 'do not wait for its end')
    .addHelpText('after', '\nExit: 0 serves it, 3 it was no good and was taken back, 4 it could not be taken back, 5 no server.')
    .action(async (environment: string, release: string, flags: DeployFlags) => {
      const client = connect(flags, io)
      const key = randomUUID()
      const wanted = { ...wantedRelease(release, flags), ...(flags.force === undefined ? {} : { force: true }) }
      const accepted = await askPatiently(io, `belay envs ${environment}`, () => client.deploy(environment, wanted, key))
      if (flags.json !== true)
        io.out(`${environment} is to serve release ${String(accepted.release)} ${shortDigest(accepted.digest)}\n`)
      const { requestId } = accepted
      const ended = flags.detach === true ? undefined : await waitForDeployment(client, { environment, requestId }, io)
      if (flags.json === true) printJson(io, { ...accepted, ...(ended === undefined ? {} : { deployment: ended }) })
      if (ended === undefined) return
      if (flags.json !== true) await printEnd(client, ended, io)
      if (ended.status !== 'deployed')
        io.exitWith(ended.status === 'undo_failed' ? exitCodes.rollbackFailed : exitCodes.rolledBack)
    })
}

async function printEnd(client: Client, { environment, release, status, reason }: Deployment, io: Io): Promise<void> {
  if (status === 'deployed') {
    io.out(`${environment} serves release ${String(release.number)}\n`)
    return
  }
  const taken = status === 'undo_failed' ? 'was no good and could not be taken back' : 'was taken back'
  const why = reason === undefined ? '' : `: ${printable(reason)}`
  io.out(`release ${String(release.number)} ${taken}${why}\n`)
  const { current } = await client.getEnvironment(environment)
  io.out(`${environment} serves ${current === undefined ? 'nothing' : `release ${String(current.release.number)}`}\n`)
}
