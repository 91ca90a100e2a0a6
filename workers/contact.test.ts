/** What a runner takes for a sign that nobody thinks it lost, with a real Temporal that goes away in different ways. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NativeConnection } from '@temporalio/worker'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../test/helpers/until.ts'
import { findTemporal } from '../src/embedded/temporal/find-temporal.ts'
import { startTemporal, type TemporalServer } from '../src/embedded/temporal/start-temporal.ts'
import { keepContact } from './contact.ts'

let directory: string
let temporal: TemporalServer
let connection: NativeConnection
let over: AbortController
let contact: Promise<void>
let renewals: number
let renewedAt: number

beforeEach(async () => {
  const found = await findTemporal({ env: { ...process.env, TEMPORAL_ADDRESS: '' } })
  if (found.kind !== 'program') throw new Error('expected a program')
  directory = mkdtempSync(join(tmpdir(), 'belay-temporal-'))
  temporal = await startTemporal({ program: found.file, directory, log: join(directory, 'log') })
  connection = await NativeConnection.connect({ address: temporal.address })
  over = new AbortController()
  renewals = 0
  renewedAt = performance.now()
  const renew = () => {
    renewals += 1
    renewedAt = performance.now()
  }
  contact = keepContact({ connection, address: temporal.address, renew }, over.signal)
}, 300_000)
afterEach(async () => {
  over.abort()
  await contact
  await connection.close()
  await temporal.stop(0)
  rmSync(directory, { recursive: true, force: true })
})

async function renewedAgain(why: string): Promise<void> {
  const before = renewals
  await until(why, () => renewals > before + 1)
}

it('an answer is one; and so is a refusal, as long as it lasts: where nothing listens nobody is thought lost', async () => {
  await renewedAgain('it answers')
  await temporal.stop(0)
  await renewedAgain('its port refuses')
  await renewedAgain('its port still refuses')
  expect(await temporal.done).toBeDefined()
}, 60_000)

it('silence is none, and what is said once it is over is one again', async () => {
  await renewedAgain('it answers')
  process.kill(temporal.identity.pid, 'SIGSTOP')
  try {
    // As long as the watchdog bears it; an exchange may have been under way.
    await until('nothing is heard for 7 s', () => performance.now() - renewedAt > 7_000)
  } finally {
    process.kill(temporal.identity.pid, 'SIGCONT')
  }
  await renewedAgain('it answers again')
  expect(performance.now() - renewedAt).toBeLessThan(7_000)
}, 60_000)
