import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { manySteps, median, stepCount, type BenchSystem } from './bench-system.ts'

const repeats = 5

/** 40 steps of `true`, per step, beside the same spawns in a bare loop. */
export async function measureSteps(system: BenchSystem): Promise<string[]> {
  await system.runOnce(manySteps)
  const perStep: number[] = []
  const floor: number[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    const {
      run: { steps },
    } = await system.runOnce(manySteps)
    const began = Math.min(...steps.map(({ startedAt }) => startedAt ?? Infinity))
    const ended = Math.max(...steps.map(({ endedAt }) => endedAt ?? 0))
    perStep.push((ended - began) / stepCount)
    floor.push(await bareLoop())
  }
  const [ours, bare] = [median(perStep), median(floor)]
  return [
    `40 steps of true: ${ours.toFixed(1)} ms a step, bare spawns ${bare.toFixed(1)} ms, ratio ${(ours / bare).toFixed(1)} (median of ${String(repeats)}; ours ${perStep.map((ms) => ms.toFixed(1)).join(' ')})`,
  ]
}

async function bareLoop(): Promise<number> {
  const startedAt = performance.now()
  for (let index = 0; index < stepCount; index++) await once(spawn('sh', ['-e', '-c', 'true'], { stdio: 'ignore' }), 'close')
  return (performance.now() - startedAt) / stepCount
}
