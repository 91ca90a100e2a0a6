import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import type { FreezeAccepted, FreezeEnvironment } from '../api/environment-schemas.ts'
import type { Freeze } from '../domain/freeze.ts'
import { askPatiently } from './ask-patiently.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { formatDuration, formatTime, printJson } from './format.ts'
import type { Io } from './io.ts'
import { printable } from './terminal-text.ts'

type FreezeFlags = CommonFlags & Omit<FreezeEnvironment, 'time_zone'> & { timeZone?: string }

export function freezeCommand(io: Io): Command {
  return clientCommand('freeze', "have runs' deployments to an environment wait", io)
    .argument('<environment>')
    .option('--from <time>', 'when it begins, like 2026-12-24T18:00 (default: now)')
    .option('--until <time>', 'when it ends')
    .option('--for <duration>', 'how long it lasts: 90m, 62h, 3d')
    .option('--cron <expression>', 'begins again and again: minute, hour, day of month, month, day of week; needs --for')
    .option('--time-zone <name>', "whose clock that is (default: this machine's)")
    .option('-r, --reason <text>', 'why, for the others')
    .addHelpText(
      'after',
      '\nUndo, recovery and `belay rollback` are exempt; `belay deploy --force --reason TEXT` goes all the same.',
    )
    .action(async (environment: string, flags: FreezeFlags) => {
      const { from, until, for: lasts, cron, reason } = flags
      const body = {
        ...(from === undefined ? {} : { from }),
        ...(until === undefined ? {} : { until }),
        ...(lasts === undefined ? {} : { for: lasts }),
        ...(cron === undefined ? {} : { cron }),
        ...(reason === undefined ? {} : { reason }),
        time_zone: flags.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
      }
      const client = connect(flags, io)
      const key = randomUUID()
      const accepted = await askPatiently(io, `belay envs ${environment}`, () => client.freeze(environment, body, key))
      if (flags.json === true) return printJson(io, accepted)
      io.out(`${environment}: freeze ${accepted.freeze.id}, ${describeTimes(accepted.freeze)}\n`)
      printStanding(io, environment, accepted)
    })
}

export function unfreezeCommand(io: Io): Command {
  return clientCommand('unfreeze', 'lift a freeze window', io)
    .argument('<environment>')
    .argument('[freeze]', 'its id, as `belay envs ENV` shows it (default: the only one)')
    .option('-r, --reason <text>', 'why, for the others')
    .action(async (environment: string, freeze: string | undefined, flags: CommonFlags & { reason?: string }) => {
      const { reason } = flags
      const body = { ...(freeze === undefined ? {} : { freeze }), ...(reason === undefined ? {} : { reason }) }
      const client = connect(flags, io)
      const key = randomUUID()
      const accepted = await askPatiently(io, `belay envs ${environment}`, () => client.unfreeze(environment, body, key))
      if (flags.json === true) return printJson(io, accepted)
      io.out(`${environment}: freeze ${accepted.freeze.id} is lifted\n`)
      printStanding(io, environment, accepted)
    })
}

/** In words for people. */
export function describeTimes({ times }: Freeze): string {
  if (times.type === 'recurring')
    return `at "${printable(times.cron)}" for ${formatDuration(times.forMs)}, by the clock of ${printable(times.timeZone)}`
  return `from ${formatTime(times.from)} until ${formatTime(times.until)}`
}

function printStanding(io: Io, environment: string, { frozen, active }: FreezeAccepted): void {
  io.out(`${environment} is ${frozen === undefined ? 'not frozen now' : printable(frozen.reason)}\n`)
  if (active !== undefined && frozen !== undefined)
    io.out(`the deployment of release ${String(active.number)} is under way and goes on\n`)
}
