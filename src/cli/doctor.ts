import { Command, Option } from 'commander'
import type { Finding } from './doctor/check.ts'
import { paint, printJson } from './format.ts'
import type { Io } from './io.ts'

interface DoctorFlags {
  config?: string
  data?: string
  json?: true
}

export function doctorCommand(io: Io): Command {
  return new Command('doctor')
    .description('what is missing on this machine, and how to get it')
    .addOption(new Option('-c, --config <file>', "the operator's configuration").env('BELAY_CONFIG'))
    .addOption(new Option('-d, --data <directory>', 'data directory (default: .belay)').env('BELAY_DATA'))
    .option('--json', 'print JSON')
    .action(async (flags: DoctorFlags) => {
      // Loaded here only: it brings Temporal's client with it.
      const { examine } = await import('./doctor/examine.ts')
      const findings = await examine(io, flags)
      if (flags.json === true) printJson(io, { findings })
      else for (const finding of findings) printFinding(io, finding)
      const bad = findings.filter(({ state }) => state === 'bad').length
      if (bad === 0) return
      if (flags.json !== true) io.out(`\n${String(bad)} ${bad === 1 ? 'thing is' : 'things are'} missing\n`)
      io.exitWith(1)
    })
}

function printFinding(io: Io, { name, state, detail, mend }: Finding): void {
  const mark = { good: paint(io, 'green', '✓'), bad: paint(io, 'red', '✗'), note: '·' }[state]
  io.out(`${mark} ${name.padEnd(10)} ${detail.replaceAll('\n', `\n${' '.repeat(13)}`)}\n`)
  if (state === 'bad' && mend !== undefined) io.out(`${' '.repeat(13)}mend: ${mend}\n`)
}
