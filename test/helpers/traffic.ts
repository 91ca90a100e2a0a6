/**
 * A process of its own that sends requests to one URL and counts: half of them on new connections, none tried again,
 * anything but 200 is a failure. Starts on the first line of stdin, ends on the second, and then prints its counts.
 *
 * usage: node traffic.js URL [REQUESTS_PER_SECOND]
 */
import { Agent, get } from 'node:http'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** What traffic saw. `versions` counts good answers by their text. */
export interface TrafficCounts {
  served: number
  failed: number
  /** The first few failures, with their time, for whoever has to find out why. */
  failures: string[]
  /** Between the first failure and the last, by the time of their requests. */
  failedForMs: number
  versions: Record<string, number>
  seconds: number
}

interface Traffic {
  start(): void
  stop(): Promise<TrafficCounts>
}

export function createTraffic(url: string, perSecond: number): Traffic {
  const kept = new Agent({ keepAlive: true, maxSockets: 20 })
  const fresh = new Agent({ keepAlive: false })
  const counts: TrafficCounts = { served: 0, failed: 0, failures: [], failedForMs: 0, versions: {}, seconds: 0 }
  const pending = new Set<Promise<void>>()
  let startedAt = 0
  let timer: NodeJS.Timeout | undefined
  let sent = 0
  let firstFailureAt: number | undefined

  function send(): void {
    const request = ask(sent % 2 === 0 ? kept : fresh)
    sent += 1
    pending.add(request)
    void request.finally(() => pending.delete(request))
  }

  async function ask(agent: Agent): Promise<void> {
    const askedAt = performance.now()
    try {
      const { status, text } = await fetchText(url, agent)
      if (status !== 200) throw new Error(`status ${String(status)}: ${text.slice(0, 100)}`)
      counts.served += 1
      counts.versions[text] = (counts.versions[text] ?? 0) + 1
    } catch (error) {
      counts.failed += 1
      firstFailureAt ??= askedAt
      counts.failedForMs = Math.max(counts.failedForMs, askedAt - firstFailureAt)
      if (counts.failures.length < 10) counts.failures.push(`${new Date().toISOString()} ${String(error)}`)
    }
  }

  return {
    start() {
      startedAt = performance.now()
      // By the clock and not by the tick: a timer that comes late sends what is due.
      timer = setInterval(() => {
        const due = ((performance.now() - startedAt) / 1000) * perSecond
        while (sent < due) send()
      }, 5)
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      kept.destroy()
      counts.seconds = (performance.now() - startedAt) / 1000
      return counts
    },
  }
}

function fetchText(url: string, agent: Agent): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, timeout: 20_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: text.trim() })
      })
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error('no answer within 20 s')))
    request.on('error', reject)
  })
}

async function main(): Promise<void> {
  const [url, perSecond] = process.argv.slice(2)
  if (url === undefined) throw new Error('usage: traffic.js URL [REQUESTS_PER_SECOND]')
  const traffic = createTraffic(url, Number(perSecond ?? '60'))
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  await lines.next()
  traffic.start()
  await lines.next()
  process.stdout.write(`${JSON.stringify(await traffic.stop())}\n`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
