import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { exitCodes } from '../domain/errors.ts'
import { askPatiently } from './ask-patiently.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { printJson, shortDigest } from './format.ts'
import type { Io } from './io.ts'
import { printPreview } from './rollback-preview.ts'
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
    .option('--dry-run', 'only say what it would do')
    .option('--detach', 'do not wait for its end')
    .addHelpText('after', '\nExit: 0 serves the older release, 4 does not.')
    .action(async (name: string, flags: RollbackFlags) => {
      const client = connect(flags, io)
      if (flags.dryRun === true) {
        const preview = await client.previewRollback(name, flags.to === undefined ? {} : { to: flags.to })
        if (flags.json === true) printJson(io, preview)
        else printPreview(io, preview)
        return
      }
      const body = {
        ...(flags.to === undefined ? {} : { to: flags.to }),
        ...(flags.reason === undefined ? {} : { reason: flags.reason }),
      }
      const key = randomUUID()
      const accepted = await askPatiently(io, `belay envs ${name}`, () => client.rollback(name, body, key))
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
