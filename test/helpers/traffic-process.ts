import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { TrafficCounts } from './traffic.ts'

export interface TrafficProcess {
  /** Ends it and gives its counts. */
  stop(): Promise<TrafficCounts>
  kill(): void
}

/** Traffic from a process of its own, so that nothing of ours can slow it or be slowed by it. */
export function startTraffic(url: string, perSecond = 60): TrafficProcess {
  const here = fileURLToPath(import.meta.url)
  const compiled = here.endsWith('.ts') ? here.replace('/test/helpers/', '/dist/test/helpers/') : here
  const program = compiled.replace(/traffic-process\.[jt]s$/, 'traffic.js')
  const child = spawn(process.execPath, [program, url, String(perSecond)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const output: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text))
  const closed = once(child, 'close')
  child.stdin.write('start\n')
  return {
    async stop() {
      child.stdin.end('stop\n')
      await closed
      return JSON.parse(output.join('')) as TrafficCounts
    },
    kill() {
      child.kill('SIGKILL')
    },
  }
}
