import { get } from 'node:http'

export type Probe = { healthy: true } | { healthy: false; why: string }

/** Asks once by GET, on a connection of its own, past every pool. 2xx is healthy; the body is not read. Never throws. */
export function probe(url: string, { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }): Promise<Probe> {
  return new Promise((resolve) => {
    const no = (why: string): void => {
      resolve({ healthy: false, why })
    }
    const limit = AbortSignal.timeout(timeoutMs)
    const asking = get(url, { agent: false, signal: AbortSignal.any([limit, signal]) }, (response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      if (status >= 200 && status < 300) resolve({ healthy: true })
      else no(`answered ${String(status)}`)
    })
    asking.once('error', (error) => {
      no(limit.aborted ? `no answer in ${String(timeoutMs)} ms` : error.message)
    })
  })
}
