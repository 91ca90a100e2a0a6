/** A Temporal of a test's own, with a connection to it; nobody works there. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { findTemporal } from '../../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../../src/embedded/temporal/start-temporal.ts'

export interface OwnTemporal {
  address: string
  connection: Connection
  client: Client
  stop(): Promise<void>
}

/** What was begun before it failed is stopped. */
export async function startOwnTemporal(): Promise<OwnTemporal> {
  const directory = await mkdtemp(join(tmpdir(), 'belay-temporal-'))
  let server: TemporalServer | undefined
  let connection: Connection | undefined
  const stop = async (): Promise<void> => {
    await connection?.close()
    await server?.stop()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const { TEMPORAL_ADDRESS: _theirs, ...env } = process.env
    const found = await findTemporal({ env })
    if (found.kind !== 'program') throw new Error('a server of our own was asked for')
    server = await startTemporal({ program: found.file, directory, log: join(directory, 'log') })
    connection = await Connection.connect({ address: server.address })
    return { address: server.address, connection, client: new Client({ connection }), stop }
  } catch (error) {
    await stop()
    throw error
  }
}
