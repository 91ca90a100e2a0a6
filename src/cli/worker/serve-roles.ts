/** A part of Belay on its own, in the foreground: the same code as in `up`, against a Temporal that somebody runs. */
import { mkdirSync } from 'node:fs'
import { Command, Option } from 'commander'
import type { Logger } from 'pino'
import type { MainRole } from '../../../workers/main.ts'
import { loadConfig } from '../../config/load-config.ts'
import { placesOf, type Places } from '../../config/places.ts'
import { BelayError } from '../../domain/errors.ts'
import { isKeeperUp } from '../../embedded/keeper/keeper-presence.ts'
import { keeperSocket } from '../../embedded/keeper/keeper-socket.ts'
import { supervise } from '../../embedded/supervisor/supervise.ts'
import type { Io } from '../io.ts'
import { beginLife } from '../part/life.ts'
import { beatFor } from './beat-for.ts'
import { tellPart } from './tell-part.ts'
import { takeListen } from '../up/listen.ts'
import { findStepUser } from '../up/step-user.ts'

export interface ServeFlags {
  config?: string
  data?: string
  listen?: string
  /** The keeper ends with us. */
  stopKeeper?: true
}

export function configuredCommand(name: string, description: string, io: Io): Command {
  const from = io.env['TEMPORAL_ADDRESS'] ? 'TEMPORAL_ADDRESS' : 'temporal.address in the configuration'
  return new Command(name)
    .description(description)
    .addOption(new Option('-c, --config <file>', "the operator's configuration").env('BELAY_CONFIG'))
    .addOption(new Option('-d, --data <directory>', 'data directory (default: .belay)').env('BELAY_DATA'))
    .addHelpText('after', `\nThe Temporal server is the one of ${from}.`)
}

export async function serveRoles(io: Io, roles: readonly MainRole[], flags: ServeFlags): Promise<void> {
  const loaded = await loadConfig({ file: flags.config, data: flags.data, env: io.env, cwd: io.cwd })
  const config = await takeListen(loaded.config, flags.listen)
  const { temporal } = config
  if (temporal === undefined) throw noTemporal()
  const life = beginLife()
  const [{ start }, { createLog }, { endFor }] = await Promise.all([
    import('../../../workers/main.ts'),
    import('../../../workers/log.ts'),
    import('../../../workers/payload-keys.ts'),
  ])
  const places = placesOf(config.data, { work: io.env['BELAY_WORK_DIR'] || undefined, root: findStepUser() !== undefined })
  const log = createLog(roles.join('+'))
  const keeper = roles.includes('deployer') ? await keepKeeper({ places, env: io.env, log }) : undefined
  const onMissingKey = roles.includes('deployer') ? endFor(log) : undefined
  const main = await start({ config, places, temporal, roles, log, onMissingKey })
  const heartbeats = await Promise.all(
    roles.flatMap((role) =>
      role === 'server' ? [] : [beatFor({ role }, { env: io.env, temporal, alive: keeper?.findTrouble })],
    ),
  )
  life.serve(
    async () => {
      await Promise.all(heartbeats.map((heartbeat) => heartbeat.stop()))
      await main.stop()
      if (flags.stopKeeper === true) await keeper?.stop()
    },
    flags.stopKeeper === true ? 26_000 : 12_000,
  )
  log.info({ roles, url: main.url, temporal: temporal.address }, 'serving')
}

/** The keeper and its applications outlive us, as they do in `up`; whoever comes next adopts them. */
async function keepKeeper({ places, env, log }: { places: Places; env: NodeJS.ProcessEnv; log: Logger }) {
  for (const directory of [places.keeper, places.apps]) mkdirSync(directory, { recursive: true })
  const { keeperOf } = await import('../up/up-parts.ts')
  const supervisor = await supervise({
    parts: [keeperOf({ places, env })],
    tell: tellPart(log),
  })
  const socket = keeperSocket(places.keeper)
  return {
    findTrouble: async () => ((await isKeeperUp(socket)) ? undefined : 'its keeper does not answer'),
    stop: () => supervisor.stop(),
  }
}

export function noTemporal(): BelayError {
  return new BelayError({
    code: 'missing_part',
    message: 'no Temporal server is configured',
    hint: 'Set TEMPORAL_ADDRESS, or temporal.address in belay.config.yml; or let `belay up` run one.',
  })
}
