/** A Temporal that suggests a new history every few deployments: environments continue as new soon. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { execa } from 'execa'
import { findTemporal } from '../../src/embedded/temporal/find-temporal.ts'
import { temporalServerArgs } from '../../src/embedded/temporal/server-args.ts'
import { waitForTemporal } from '../../src/embedded/temporal/temporal-ready.ts'
import { findQuietPort } from './quiet-port.ts'

/** One deployment has about 60 events. */
const suggestedAt = 90

export interface ShortHistories {
  address: string
  client: Client
  /** The runs of that workflow that were continued as new, oldest first. */
  continued(workflowId: string): Promise<string[]>
  stop(): Promise<void>
}

export async function startShortHistories(): Promise<ShortHistories> {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  const directory = mkdtempSync(join(tmpdir(), 'belay-temporal-'))
  const port = await findQuietPort()
  const address = `127.0.0.1:${String(port)}`
  const suggest = ['--dynamic-config-value', `limit.historyCount.suggestContinueAsNew=${String(suggestedAt)}`]
  const args = [...temporalServerArgs({ port, database: join(directory, 'temporal.db') }), ...suggest]
  const server = execa(found.file, args, { env: { HOME: directory }, stdio: 'ignore', reject: false })
  const end = async (): Promise<void> => {
    server.kill('SIGKILL')
    await server
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await waitForTemporal({ address, namespace: 'default', timeoutMs: 60_000 })
    const connection = await Connection.connect({ address })
    const client = new Client({ connection })
    return {
      address,
      client,
      async continued(workflowId) {
        const runs: { id: string; at: Date }[] = []
        for await (const { status, runId, startTime } of client.workflow.list({ query: `WorkflowId = '${workflowId}'` }))
          if (status.name === 'CONTINUED_AS_NEW') runs.push({ id: runId, at: startTime })
        return runs.toSorted((a, b) => a.at.getTime() - b.at.getTime()).map(({ id }) => id)
      },
      async stop() {
        await connection.close()
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}
