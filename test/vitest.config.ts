import { join } from 'node:path'
import { configDefaults, defineConfig } from 'vitest/config'
import { tallyReporter } from './helpers/tally-reporter.ts'

const chaosChecker = [
  'test/chaos/invariants/**/*.test.ts',
  'test/chaos/{check,expected-lines,patient,pipelines,points,report,tables}.test.ts',
]

/**
 * unit: rooms, contracts and architecture, side by side. scenarios: whole paths with everything real, one after another.
 * faults: the longer floods and kills, run by .ci/run only. A group starts when the one before it has ended.
 */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, '..'),
    reporters: ['default', tallyReporter(process.env['BELAY_TALLY'])],
    allowOnly: false,
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            '{src,workers}/**/*.test.ts',
            'test/{architecture,contracts,docs,helpers,tooling}/**/*.test.ts',
            // What judges a chaos run; the runs themselves are faults.
            ...chaosChecker,
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      wholePaths('scenarios', ['test/{scenarios,replay}/**/*.test.ts', 'bench/**/*.test.ts'], 1),
      ...(process.env['BELAY_LONG'] === '1' ? [wholePaths('faults', ['test/{floods,chaos}/**/*.test.ts'], 2, chaosChecker)] : []),
    ],
  },
})

function wholePaths(name: string, include: string[], groupOrder: number, exclude: string[] = []) {
  return {
    extends: true as const,
    test: {
      name,
      include,
      exclude: [...configDefaults.exclude, ...exclude],
      testTimeout: 300_000,
      hookTimeout: 180_000,
      fileParallelism: false,
      maxWorkers: 1,
      sequence: { groupOrder },
    },
  }
}
