/** Whether this process is in contact with Temporal: what its watchdog is told. */
import { connect } from 'node:net'
import { pause } from '../src/runner/stop.ts'

/** The part of a connection that is needed. */
export interface TemporalLink {
  workflowService: { getSystemInfo(request: object): Promise<unknown> }
}

export interface ContactOptions {
  connection: TemporalLink
  /** `host:port`. */
  address: string
  /** Called after each exchange that shows that nobody can think this runner lost. */
  renew(): void
}

const everyMs = 1_000
const answerMs = 2_000

/**
 * Exchanges a word with Temporal every second, over the connection that heartbeats take too, until the signal says stop.
 * An answer renews. So does a refusal: where nothing listens no time limit runs out either, so nothing is taken over, and the
 * way to Temporal's machine is open. Silence, and a name or a network that cannot be found, do not: others may reach it.
 */
export async function keepContact(options: ContactOptions, signal: AbortSignal): Promise<void> {
  const { connection, address, renew } = options
  while (!signal.aborted) {
    if ((await refuses(address)) || (await answers(connection))) renew()
    await pause(everyMs, signal)
  }
}

/** The client tries again by itself for many seconds, whatever its deadline: a late answer is none. */
async function answers(connection: TemporalLink): Promise<boolean> {
  const asked = connection.workflowService.getSystemInfo({}).then(
    () => true,
    () => false,
  )
  return await Promise.race([asked, pause(answerMs).then(() => false)])
}

function refuses(address: string): Promise<boolean> {
  const colon = address.lastIndexOf(':')
  return new Promise((resolve) => {
    const socket = connect({ host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) })
    const settle = (refused: boolean) => {
      socket.destroy()
      resolve(refused)
    }
    socket.setTimeout(answerMs, () => settle(false))
    socket.once('connect', () => settle(false))
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ECONNREFUSED'))
  })
}
