import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import type { EnvironmentDetail } from '../api/environment-schemas.ts'
import { findRollbackRelease } from '../domain/environment-rules.ts'
import { BelayError, exitCodes } from '../domain/errors.ts'
import type { ReleaseRef } from '../domain/release.ts'
import { askPatiently } from './ask-patiently.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { printJson, shortDigest } from './format.ts'
import type { Io } from './io.ts'
import { printable } from './terminal-text.ts'
import { waitForDeployment } from './wait-for-deployment.ts'

interface RollbackFlags extends CommonFlags {
  to?: string
  reason?: string
  dryRun?: true
  detach?: true
}

export function rollbackCommand(io: Io): Command {
  return clientCommand('rollback', 'deploy an older release of an environment again', io)
    .argument('<environment>')
    .option('-t, --to <release>', 'release number or image digest (default: the newest kept one before the current)')
    .option('-r, --reason <text>', 'why, for the others')
    .option('--dry-run', 'only say what it would be')
    .option('--detach', 'do not wait for its end')
    .addHelpText('after', '\nExit: 0 serves the older release, 4 does not.')
    .action(async (name: string, flags: RollbackFlags) => {
      const client = connect(flags, io)
      if (flags.dryRun === true) {
        const environment = await client.getEnvironment(name)
        const target = loadTarget(environment, flags.to)
        if (flags.json === true) printJson(io, { from: environment.current?.release, to: target })
        else io.out(`${describeCurrent(environment)}\nwould go to release ${describe(target)}\n`)
        return
      }
      const body = {
        ...(flags.to === undefined ? {} : { to: flags.to }),
        ...(flags.reason === undefined ? {} : { reason: flags.reason }),
      }
      const key = randomUUID()
      const accepted = await askPatiently(io, name, () => client.rollback(name, body, key))
      if (flags.json !== true) io.out(`${name} goes to release ${String(accepted.release)} ${shortDigest(accepted.digest)}\n`)
      const asked = { environment: name, requestId: accepted.requestId }
      const ended = flags.detach === true ? undefined : await waitForDeployment(client, asked, io)
      if (flags.json === true) printJson(io, { ...accepted, ...(ended === undefined ? {} : { deployment: ended }) })
      if (ended === undefined) return
      if (flags.json !== true)
        io.out(`${name}: ${ended.status}${ended.reason === undefined ? '' : `: ${printable(ended.reason)}`}\n`)
      if (ended.status !== 'deployed') io.exitWith(exitCodes.rollbackFailed)
    })
}

/** By the rule that the environment itself goes by, on the history that the server shows. */
function loadTarget(environment: EnvironmentDetail, to: string | undefined): ReleaseRef {
  const found = findRollbackRelease(environment, to === undefined ? {} : { to })
  if (found !== undefined) return found
  const known = environment.history.map(({ release }) => String(release.number)).join(', ')
  throw new BelayError({
    code: 'not_found',
    message: to === undefined ? `${environment.name} has no older release to go to` : `${environment.name} cannot go to ${to}`,
    hint: known === '' ? 'It has served nothing yet.' : `It has served the releases ${known}.`,
  })
}

function describeCurrent({ name, current }: EnvironmentDetail): string {
  return current === undefined
    ? `${name} serves nothing`
    : `${name} serves release ${String(current.release.number)} ${current.release.image.digest}`
}

function describe({ number, image, version }: ReleaseRef): string {
  return `${String(number)} ${image.digest} (${printable(version)})`
}
