import type { Command } from 'commander'
import type { GcReport } from '../api/gc-schemas.ts'
import { addUp, type SweepKind } from '../domain/keep.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { formatBytes, printJson, printTable } from './format.ts'
import type { Io } from './io.ts'

interface GcFlags extends CommonFlags {
  dryRun?: true
}

export function gcCommand(io: Io): Command {
  return clientCommand('gc', 'remove what is not kept any longer; the server does so every hour by itself', io)
    .option('-n, --dry-run', 'only tell what would go, and why')
    .addHelpText('after', '\nHow long what is kept is `keep` in belay.config.yml. Needs the role admin.')
    .action(async (flags: GcFlags) => {
      const dry = flags.dryRun === true
      const client = connect(flags, io)
      const items = dry ? (await client.previewGc()).items : await runToEnd(() => client.runGc())
      if (flags.json === true) printJson(io, { items })
      else print(io, items, dry)
    })
}

const words: Record<SweepKind, string> = {
  logs: 'logs',
  log_files: 'stray log files',
  releases: 'releases',
  artifacts: 'artifacts',
  blobs: "artifacts' bytes",
  images: 'images',
  commands: 'commands',
  segment_tokens: "segments' tokens",
  deployments: 'deployments',
  runs: 'runs',
  deliveries: 'deliveries',
  plans: 'plans',
  outbox: 'commit statuses',
}

/** Call by call; each removes for a while. */
async function runToEnd(call: () => Promise<GcReport>): Promise<GcReport['items']> {
  const all: GcReport['items'] = []
  for (let more = true; more;) {
    const report = await call()
    all.push(...report.items)
    more = report.more
  }
  return addUp(all).map((one) => ({ ...one, why: all.find(({ kind }) => kind === one.kind)?.why ?? '' }))
}

function print(io: Io, items: GcReport['items'], dry: boolean): void {
  if (items.length === 0) {
    io.out(dry ? 'nothing would go\n' : 'there was nothing to remove\n')
    return
  }
  const rows = items.map(({ kind, count, bytes, why }) => [
    words[kind],
    String(count),
    bytes === 0 ? '' : formatBytes(bytes),
    why,
  ])
  printTable(io, [[dry ? 'WOULD GO' : 'REMOVED', 'COUNT', 'SIZE', 'WHY'], ...rows])
}
