import { Option, type Command } from 'commander'
import { configuredCommand, serveRoles, type ServeFlags } from './worker/serve-roles.ts'
import type { Io } from './io.ts'

export function serverCommand(io: Io): Command {
  return configuredCommand('server', 'only the server: hooks, API, logs', io)
    .addOption(new Option('-l, --listen <host:port>', 'address of the server').env('BELAY_LISTEN'))
    .action((flags: ServeFlags) => serveRoles(io, ['server'], flags))
}
