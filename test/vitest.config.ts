import { join } from 'node:path'
import { configDefaults, defineConfig } from 'vitest/config'
import { tallyReporter } from './helpers/tally-reporter.ts'

const chaosChecker = [
  'test/chaos/invariants/**/*.test.ts',
  'test/chaos/{check,expected-lines,patient,pipelines,points,report,tables}.test.ts',
]

/** Takes the container engine away from whoever uses it. */
const faults = ['test/floods/engine-restart.test.ts']

/** Whole container engines and builders, and what outlasts heartbeats: minutes that `.ci/run` has and `npm test` has not. */
const long = [
  'src/drivers/targets/docker/{docker-target,engine-fence}.test.ts',
  'src/drivers/builders/dockerfile-builders.test.ts',
  'test/scenarios/{containers,environment-recovery,foreign-sources,interrupted}.test.ts',
]

/**
 * unit: rooms, contracts and architecture. scenarios: whole paths with everything real. By .ci/run only: long, more of both, floods and kills,
 * and faults, one after another. A group starts when the one before it has ended; what mostly waits runs three at a time on two cores.
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
          exclude: [...configDefaults.exclude, ...long],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      wholePaths('scenarios', {
        include: ['test/{scenarios,replay}/**/*.test.ts', 'bench/**/*.test.ts'],
        exclude: long,
        groupOrder: 1,
        maxWorkers: 3,
      }),
      ...(process.env['BELAY_LONG'] === '1'
        ? [
            wholePaths('long', {
              include: [...long, 'test/{floods,chaos}/**/*.test.ts'],
              exclude: [...chaosChecker, ...faults],
              groupOrder: 2,
              maxWorkers: 3,
            }),
            wholePaths('faults', { include: faults, exclude: [], groupOrder: 3, maxWorkers: 1 }),
          ]
        : []),
    ],
  },
})

interface WholePaths {
  include: string[]
  exclude: string[]
  groupOrder: number
  maxWorkers: number
}

function wholePaths(name: string, { include, exclude, groupOrder, maxWorkers }: WholePaths) {
  return {
    extends: true as const,
    test: {
      name,
      include,
      exclude: [...configDefaults.exclude, ...exclude],
      testTimeout: 300_000,
      hookTimeout: 180_000,
      fileParallelism: maxWorkers > 1,
      maxWorkers,
      sequence: { groupOrder },
    },
  }
}
