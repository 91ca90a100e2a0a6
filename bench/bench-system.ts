import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isEndedRun } from '../src/domain/run.ts'
import type { RunDetail } from '../src/api/run-schemas.ts'
import { startSystem, type System } from '../test/helpers/system.ts'
import { until } from '../test/helpers/until.ts'

export const stepCount = 40

export interface BenchSystem extends System {
  /** Posts a push and waits for the run's end. */
  runOnce(pipeline: string): Promise<{ postedAt: number; run: RunDetail }>
}

export const oneStep = `name: one\nsteps:\n  only:\n    commands: ["true"]\n`
export const manySteps = `name: many\nsteps:\n${Array.from({ length: stepCount }, (_, index) => `  s${String(index)}: { commands: ["true"] }\n`).join('')}`

export async function startBenchSystem(): Promise<BenchSystem> {
  const example = mkdtempSync(join(tmpdir(), 'belay-bench-'))
  mkdirSync(example, { recursive: true })
  writeFileSync(join(example, '.belay.yml'), oneStep)
  const system = await startSystem({ example })
  rmSync(example, { recursive: true })
  return {
    ...system,
    async runOnce(pipeline) {
      const sha = await system.commit({ '.belay.yml': pipeline }, 'bench')
      const postedAt = Date.now()
      const { id } = await system.push(sha, 'bench')
      const run = await until('the run ends', async () => {
        const seen = await system.client.getRun({ id })
        return isEndedRun(seen.status) ? seen : undefined
      })
      if (run.status !== 'succeeded') throw new Error(`the run ended ${run.status}: ${run.reason ?? ''}`)
      return { postedAt, run }
    },
  }
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Milliseconds, for a line of the report. Throws if one of them was not measured. */
export function describeTimes(times: readonly number[]): string {
  if (times.some(Number.isNaN)) throw new RangeError('a time was not measured')
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN).toFixed(0)
  return `median ${at(0.5)} ms, p95 ${at(0.95)}, p99 ${at(0.99)}, max ${at(1)} (${String(times.length)} times)`
}
