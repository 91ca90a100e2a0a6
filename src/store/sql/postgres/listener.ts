import { Client } from 'pg'
import type { Hub } from '../../hub.ts'
import { clientConfig } from './connections.ts'
import type { ConnectionOptions } from './connections.ts'
import { toPostgresError } from './errors.ts'

/** All processes of one database talk on this channel; a message is `<sender> <topic>`. */
export const channel = 'belay'

const heartbeatMs = 15_000
const firstPauseMs = 100
const longestPauseMs = 5_000

export interface ListenerOptions extends ConnectionOptions {
  hub: Hub
  /** Ours: what we tell ourselves has been told already. */
  sender: string
}

/**
 * One connection of its own that hears what other processes have committed, and wakes who waits for it here. Lost, it is
 * made again until it holds; then everybody is woken, for nobody knows what was said meanwhile.
 */
export async function startListener(options: ListenerOptions): Promise<{ close(): Promise<void> }> {
  const stopping = new AbortController()
  let ear = await listen(options)
  const kept = keep()

  async function keep(): Promise<void> {
    for (;;) {
      await ear.ended
      const next = await listenAgain(options, stopping.signal)
      if (next === undefined) return
      ear = next
      options.hub.wakeAll()
    }
  }

  return {
    async close() {
      stopping.abort()
      ear.end()
      await kept
    },
  }
}

interface Ear {
  /** Resolves when the connection has ended, whoever ended it. */
  ended: Promise<void>
  end(): void
}

async function listen(options: ListenerOptions): Promise<Ear> {
  const client = new Client(clientConfig(options))
  const ended = new Promise<void>((resolve) => client.once('end', resolve))
  // What it is does not matter: the end follows.
  client.on('error', () => undefined)
  client.on('notification', ({ payload }) => {
    const [, sender, topic] = /^(\S+) (.*)$/s.exec(payload ?? '') ?? []
    if (topic !== undefined && sender !== options.sender) options.hub.notify(topic)
  })
  const end = () => {
    // Says good-bye; with a query on its way it only hangs up.
    client.end().catch(() => undefined)
  }
  try {
    await client.connect()
    await client.query(`listen ${channel}`)
  } catch (error) {
    end()
    throw toPostgresError(error, options.place)
  }
  // Of a peer that has vanished one hears nothing, unless one asks.
  const heartbeat = setInterval(() => {
    client.query('select 1').catch(end)
  }, heartbeatMs)
  return { ended: ended.finally(() => clearInterval(heartbeat)), end }
}

/** Tries until it works; undefined: we are to stop. */
async function listenAgain(options: ListenerOptions, signal: AbortSignal): Promise<Ear | undefined> {
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    await pause(pauseMs, signal)
    if (signal.aborted) return undefined
    try {
      const ear = await listen(options)
      if (!signal.aborted) return ear
      ear.end()
    } catch {
      // Still away: whoever reads or writes is told; here it is asked again.
    }
  }
  return undefined
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', settle)
      resolve()
    }
    const timer = setTimeout(settle, ms)
    signal.addEventListener('abort', settle)
  })
}
