import { readFileSync } from 'node:fs'
import { partNames } from '../test/helpers/system.ts'
import type { BenchSystem } from './bench-system.ts'

/** Memory of the idle system by process: resident, and its proportional share of pages that several processes map. */
export async function measureMemory(system: BenchSystem): Promise<string[]> {
  // One run, so that everything that loads late is loaded.
  await system.runOnce('name: warm\nsteps:\n  only:\n    commands: ["true"]\n')
  const rows = partNames.map((part) => ({ part, ...memoryOf(system.pid(part)) }))
  const sum = (key: 'rss' | 'pss'): number => rows.reduce((total, row) => total + row[key], 0)
  return [...rows, { part: 'all', rss: sum('rss'), pss: sum('pss') }].map(
    ({ part, rss, pss }) =>
      `memory, idle: ${part.padEnd(8)} ${rss.toFixed(0).padStart(5)} MB resident, ${pss.toFixed(0).padStart(5)} MB proportional`,
  )
}

function memoryOf(pid: number): { rss: number; pss: number } {
  const text = readFileSync(`/proc/${String(pid)}/smaps_rollup`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024
  return { rss: field('Rss'), pss: field('Pss') }
}
