import { Command, Option } from 'commander'
import { messageOf } from '../domain/errors.ts'
import { resolveConnection, type ConnectFlags } from './connect.ts'
import type { Io } from './io.ts'

export interface CommonFlags extends ConnectFlags {
  json?: true
}

/** A command that talks to a server: where that is and who we are can be said, and `--help` says what decided it. */
export function clientCommand(name: string, description: string, io: Io): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option('-u, --url <url>', 'the server (BELAY_URL)'))
    .addOption(new Option('--token-file <file>', 'file that holds the token (BELAY_TOKEN holds the token itself)'))
    .addOption(new Option('-d, --data <directory>', 'data directory of `belay up` on this machine (BELAY_DATA)'))
    .option('--json', 'print JSON')
    .addHelpText('after', ({ command }) => `\n${describeSettings(command.opts<ConnectFlags>(), io)}`)
}

function describeSettings(flags: ConnectFlags, io: Io): string {
  try {
    const { url, token } = resolveConnection(flags, io)
    return `Now: server ${url.value} (${url.from}); token ${token === undefined ? 'none found' : `from ${token.from}`}.`
  } catch (error) {
    return `Now: ${messageOf(error)}.`
  }
}

/** The flag for a project, on commands that name a run by its number. */
export function projectOption(): Option {
  return new Option('-p, --project <name>', 'the project, if there is more than one')
}
