import { Command, Option } from 'commander'
import type { Io } from './io.ts'
import type { UpFlags } from './up/serve-up.ts'

export function upCommand(io: Io): Command {
  return new Command('up')
    .description('run all of Belay on this machine, until Ctrl-C')
    .addOption(new Option('-c, --config <file>', "the operator's configuration").env('BELAY_CONFIG'))
    .addOption(new Option('-d, --data <directory>', 'data directory (default: .belay)').env('BELAY_DATA'))
    .addOption(new Option('-l, --listen <host:port>', 'address of the server; port 0: any free one').env('BELAY_LISTEN'))
    .option('--json', 'one JSON object per line')
    .option('-q, --quiet', 'print the URL and what goes wrong, nothing else')
    .addHelpText(
      'after',
      '\nFlags win over the environment, that over the file, that over defaults. BELAY_WORK_DIR moves workspaces and applications.',
    )
    .action(async (flags: UpFlags) => {
      // Loaded here only: it brings Temporal's client with it, which no other command should wait for.
      const { serveUp } = await import('./up/serve-up.ts')
      await serveUp(flags, io)
    })
}
