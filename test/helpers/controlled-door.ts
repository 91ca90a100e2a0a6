/** A front door with a real Temporal and a control behind it; nobody deploys. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { pino } from 'pino'
import type { Config } from '../../src/config/config.ts'
import { findTemporal } from '../../src/embedded/temporal/find-temporal.ts'
import { startTemporal } from '../../src/embedded/temporal/start-temporal.ts'
import { start as startControl } from '../../workers/control.ts'
import { openFrontDoor, type FrontDoor } from './front-door.ts'

export interface ControlledDoor {
  door: FrontDoor
  temporal: Client
  /** Ends control, and starts another one. */
  restartControl(): Promise<void>
  close(): Promise<void>
}

export async function openControlledDoor(config: Partial<Config> = {}): Promise<ControlledDoor> {
  const ends: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const end of ends.toReversed()) await end()
  }
  try {
    const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
    if (found.kind !== 'program') throw new Error('expected a program')
    const directory = await mkdtemp(join(tmpdir(), 'belay-controlled-'))
    ends.push(() => rm(directory, { recursive: true, force: true }))
    const places = { program: found.file, directory: join(directory, 'temporal'), log: join(directory, 'log') }
    const server = await startTemporal(places)
    ends.push(() => server.stop(0))
    const connection = await Connection.connect({ address: server.address })
    ends.push(() => connection.close())
    const door = await openFrontDoor({ temporal: server.address, config })
    ends.push(() => door.close())
    const workflowsPath = join(import.meta.dirname, '../../src/workflows/index.ts')
    const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') })
    const bundle = join(directory, 'bundle.js')
    await writeFile(bundle, code)
    const address = { address: server.address, namespace: 'default' }
    const nothing = { findRules: () => undefined, findRepository: () => undefined, environments: [] }
    const log = pino({ level: 'silent' })
    const begin = () => startControl({ store: door.store, temporal: address, ...nothing, bundle, log })
    let control = await begin()
    ends.push(() => control.stop())
    return {
      door,
      temporal: new Client({ connection }),
      async restartControl() {
        await control.stop()
        control = await begin()
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
