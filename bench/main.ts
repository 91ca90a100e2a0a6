/**
 * What we promise about speed, measured beside a floor in the same run, twice. Run it with nothing else running.
 *
 * usage: npm run bench                 steps, first step, memory: half a minute
 *        npm run bench -- rollback     50 ways back while the old release is warm, 50 when it is cold: about 10 minutes a round
 *        npm run bench -- runner-kill  30 kills of a runner in mid-step: about 3 minutes a round; needs PostgreSQL
 */
import { measureMemory } from './memory.ts'
import { measureFirstStep } from './first-step.ts'
import { measureRollbacks } from './rollback.ts'
import { measureRunnerKills } from './runner-kill.ts'
import { measureSteps } from './steps.ts'
import { startBenchSystem } from './bench-system.ts'

async function measureSpeed(): Promise<string[]> {
  const system = await startBenchSystem()
  try {
    const lines: string[] = []
    for (const measure of [measureMemory, measureSteps, measureFirstStep]) lines.push(...(await measure(system)))
    return lines
  } finally {
    await system.stop()
  }
}

const benches = { speed: measureSpeed, rollback: measureRollbacks, 'runner-kill': measureRunnerKills } as const

const [name = 'speed'] = process.argv.slice(2)
const bench = Object.entries(benches).find(([known]) => known === name)?.[1]
if (bench === undefined) throw new Error(`there is no bench "${name}": ${Object.keys(benches).join(', ')}`)
for (const round of [1, 2]) {
  process.stdout.write(`\nround ${String(round)}\n`)
  for (const line of await bench()) process.stdout.write(`  ${line}\n`)
}
