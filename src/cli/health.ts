import { Argument, Command, Option } from 'commander'
import { messageOf } from '../domain/errors.ts'
import type { Io } from './io.ts'
import { judgeHeartbeat, workerRoles, type WorkerRole } from './worker/heartbeat.ts'

interface HealthFlags {
  url: string
  file?: string
}

const answerMs = 4_000

/** For health checks of containers and service managers. */
export function healthCommand(io: Io): Command {
  return new Command('health')
    .description('is the part that runs here well? Exit 0 if it is, else 1 and why')
    .addArgument(new Argument('<part>').choices(['server', ...workerRoles]))
    .addOption(new Option('-u, --url <url>', 'the server').env('BELAY_URL').default('http://127.0.0.1:8080'))
    .addOption(new Option('-f, --file <file>', 'in which the worker says how it is').env('BELAY_HEALTH_FILE'))
    .action(async (part: 'server' | WorkerRole, flags: HealthFlags) => {
      const trouble = await findTrouble(part, flags)
      if (trouble === undefined) return io.out(`${part} is well\n`)
      io.err(`${part} is not well: ${trouble}\n`)
      io.exitWith(1)
    })
}

async function findTrouble(part: 'server' | WorkerRole, { url, file }: HealthFlags): Promise<string | undefined> {
  if (part === 'server') return askServer(url)
  if (file === undefined) return 'nobody said where it says how it is: set BELAY_HEALTH_FILE for the worker and here'
  return judgeHeartbeat(file, part)
}

async function askServer(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(answerMs) })
    if (response.status === 200) return undefined
    return `${url} answers ${String(response.status)}: ${(await response.text()).slice(0, 500)}`
  } catch (error) {
    return `${url} does not answer: ${messageOf(error)}`
  }
}
