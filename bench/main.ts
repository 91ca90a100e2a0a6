/**
 * What we promise about speed, measured beside a floor in the same run, twice. Run it with nothing else running.
 *
 * usage: npm run bench
 */
import { measureMemory } from './memory.ts'
import { measureFirstStep } from './first-step.ts'
import { measureSteps } from './steps.ts'
import { startBenchSystem } from './bench-system.ts'

for (const round of [1, 2]) {
  process.stdout.write(`\nround ${String(round)}\n`)
  const system = await startBenchSystem()
  try {
    for (const measure of [measureMemory, measureSteps, measureFirstStep]) {
      for (const line of await measure(system)) process.stdout.write(`  ${line}\n`)
    }
  } finally {
    await system.stop()
  }
}
