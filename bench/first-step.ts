import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, oneStep, type BenchSystem } from './bench-system.ts'

const repeats = 7

/** From the post of a push to its first step, beside a bare fetch of the same commit, a checkout and a spawn. */
export async function measureFirstStep(system: BenchSystem): Promise<string[]> {
  const repository = `file://${join(system.directory, 'hello-service')}`
  const ours: number[] = []
  const floor: number[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    const { postedAt, run } = await system.runOnce(`${oneStep}# ${String(repeat)}\n`)
    ours.push((run.steps[0]?.startedAt ?? Number.NaN) - postedAt)
    floor.push(await bareFetch(repository, run.trigger.sha))
  }
  const [took, bare] = [median(ours), median(floor)]
  return [
    `post → first step: ${took.toFixed(0)} ms, bare fetch and spawn ${bare.toFixed(0)} ms, ratio ${(took / bare).toFixed(1)} (median of ${String(repeats)}; ours ${ours.map((ms) => ms.toFixed(0)).join(' ')})`,
  ]
}

async function bareFetch(repository: string, sha: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'belay-floor-'))
  try {
    const startedAt = performance.now()
    await program('git', ['init', '--quiet', directory])
    await program('git', ['-C', directory, 'fetch', '--quiet', '--no-tags', repository, sha])
    await program('git', ['-C', directory, 'checkout', '--quiet', '--detach', sha])
    await program('sh', ['-e', '-c', 'true'])
    return performance.now() - startedAt
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function program(file: string, args: string[]): Promise<void> {
  const [code] = (await once(spawn(file, args, { stdio: 'ignore' }), 'close')) as [number | null]
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${String(code)}`)
}
