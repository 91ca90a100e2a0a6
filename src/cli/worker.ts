import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { StepPids } from '../config/config-schema.ts'
import { placesOf } from '../config/places.ts'
import { Size } from '../config/scalars.ts'
import { refuseLimits } from '../process/cgroup.ts'
import { findCgroups } from '../process/find-cgroups.ts'
import type { Io } from './io.ts'
import { beginLife } from './part/life.ts'
import { watchdogProgram } from './part/watchdog-program.ts'
import { findStepUser } from './up/step-user.ts'
import { beatFor } from './worker/beat-for.ts'
import { readPayloadKeys } from './worker/payload-key-file.ts'
import { takeRunnerToken } from './worker/runner-token.ts'
import { configuredCommand, noTemporal, serveRoles, type ServeFlags } from './worker/serve-roles.ts'
import { defaults } from '../pipeline/defaults.ts'

interface RunnerFlags {
  url: string
  name: string
  slots: number
  label: string[]
  stepMemory?: number
  stepPids?: number
  data: string
}

export function workerCommand(io: Io): Command {
  const command = new Command('worker').description('only one worker: control, deployer or runner')
  command.addCommand(
    configuredCommand('control', 'workflows and bookkeeping', io).action((flags: ServeFlags) =>
      serveRoles(io, ['control'], flags),
    ),
  )
  command.addCommand(
    configuredCommand('deployer', 'deployments, and the keeper of the process target, which goes on when this ends', io)
      .option('--stop-keeper', 'stop the keeper and its applications too, in order: for a container, which nothing outlives')
      .action((flags: ServeFlags) => serveRoles(io, ['deployer'], flags)),
  )
  command.addCommand(
    new Command('runner')
      .description(
        'workspaces and steps; its token comes in BELAY_RUNNER_TOKEN or the file BELAY_RUNNER_TOKEN_FILE, the Temporal server in TEMPORAL_ADDRESS, the keys of what goes through Temporal, if there are any, in the file BELAY_PAYLOAD_KEY_FILE',
      )
      .addOption(new Option('-u, --url <url>', 'the server').env('BELAY_URL').makeOptionMandatory())
      .addOption(new Option('-n, --name <name>', 'unique among the runners').default(hostname().toLowerCase()))
      .addOption(new Option('--slots <number>', 'how much at once').argParser(parseSlots).default(2))
      .addOption(new Option('--label <label...>', 'labels to show; steps cannot ask for them yet').default([]))
      .addOption(new Option('--step-memory <size>', 'of each step, e.g. 2G; without it no limit').argParser(parseMemory))
      .addOption(new Option('--step-pids <number>', 'processes and threads of each step').argParser(parsePids))
      .addOption(new Option('-d, --data <directory>', 'its directory').env('BELAY_DATA').default('.belay'))
      .action((flags: RunnerFlags) => serveRunner(io, flags)),
  )
  return command
}

async function serveRunner(io: Io, flags: RunnerFlags): Promise<void> {
  const address = io.env['TEMPORAL_ADDRESS']
  if (!address) throw noTemporal()
  const limits = {
    ...(flags.stepMemory === undefined ? {} : { memoryBytes: flags.stepMemory }),
    ...(flags.stepPids === undefined ? {} : { pids: flags.stepPids }),
  }
  refuseLimits(findCgroups(), limits)
  const user = findStepUser()
  const { runner, workspaces, images } = placesOf(resolve(io.cwd, flags.data), {
    work: io.env['BELAY_WORK_DIR'] || undefined,
    root: user !== undefined,
  })
  const life = beginLife()
  const token = await takeRunnerToken(io)
  const payloadKeys = readPayloadKeys(io)
  const { start } = await import('../../workers/runner.ts')
  const temporal = { address, namespace: io.env['TEMPORAL_NAMESPACE'] || 'default' }
  const worker = await start({
    name: flags.name,
    slots: flags.slots,
    labels: flags.label,
    serverUrl: flags.url,
    token,
    payloadKeys,
    apart: true,
    temporal,
    places: { runner, workspaces, images },
    path: io.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    ...(user === undefined ? {} : { user }),
    graceMs: defaults.graceMs,
    limits,
    watchdog: watchdogProgram(),
  })
  const heartbeat = await beatFor({ role: 'runner', name: flags.name }, { env: io.env, temporal })
  life.serve(async () => {
    await heartbeat.stop()
    await worker.stop()
  }, 12_000)
  io.out(`runner ${flags.name} serves ${flags.url}\n`)
}

function parseMemory(text: string): number {
  const read = Size.safeParse(text)
  if (!read.success) throw new InvalidArgumentError('A size, such as 512M or 2G; at least 6M.')
  return read.data
}

function parsePids(text: string): number {
  const read = StepPids.safeParse(Number(text))
  if (!read.success) throw new InvalidArgumentError('A number from 16 to 100000.')
  return read.data
}

function parseSlots(text: string): number {
  const slots = Number(text)
  if (!Number.isInteger(slots) || slots < 1 || slots > 64) throw new InvalidArgumentError('A number from 1 to 64.')
  return slots
}
