/**
 * The whole promise in a minute: a signed push becomes a release, a bad one is taken back under traffic, a killed
 * runner makes no difference, and a person goes back by digest. Everything is real; exit code 0 says that all of it
 * came out right.
 *
 * usage: npm run demo [-- --keep]      (keep: leaves it running and says where)
 */
import { startSystem, type System } from '../../test/helpers/system.ts'
import { startTraffic, type TrafficProcess } from '../../test/helpers/traffic-process.ts'
import { actBadRelease, actFirstRelease, actKilledRunner, actRollback } from './acts.ts'
import { countedByApplications } from './application-counts.ts'
import { createStory, type Story } from './story.ts'

const keep = process.argv.includes('--keep')
const story = createStory()

process.exitCode = await main()

async function main(): Promise<number> {
  story.line('starting Belay on free ports in a temporary directory')
  const system = await startSystem()
  let traffic: TrafficProcess | undefined
  try {
    story.line(`Belay is at ${system.url}, the environment "production" at ${system.edge}`)
    const first = await actFirstRelease(system, story)
    traffic = startTraffic(system.edge, 60)
    await actBadRelease(system, story, first)
    await actKilledRunner(system, story)
    await actRollback(system, story, first)
    const counts = await traffic.stop()
    const agreed = await conclude(system, story, counts)
    if (agreed && keep) await leaveRunning(system)
    return agreed ? 0 : 1
  } catch (error) {
    story.line(`an act went wrong: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    process.stdout.write(`\nThe end of what Belay printed:\n${system.output().split('\n').slice(-60).join('\n')}\n`)
    return 1
  } finally {
    traffic?.kill()
    await system.stop()
  }
}

/** Until Ctrl-C. */
async function leaveRunning(system: System): Promise<void> {
  story.line(`left running: ${system.url}, edge ${system.edge}, directory ${system.directory}; Ctrl-C ends it`)
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
}

/** Requests served and failed, by those who asked and by those who answered. */
async function conclude(system: System, told: Story, counts: Awaited<ReturnType<TrafficProcess['stop']>>): Promise<boolean> {
  told.act('The count')
  told.line(
    `${String(counts.served)} requests served, ${String(counts.failed)} failed, in ${counts.seconds.toFixed(1)} s (${(counts.served / counts.seconds).toFixed(0)} a second)`,
  )
  for (const [version, number] of Object.entries(counts.versions)) told.line(`  ${version}: ${String(number)}`)
  for (const failure of counts.failures) told.line(`  failed: ${failure}`)
  const counted = await countedByApplications(system)
  told.line(`${String(counted)} requests counted by the applications themselves`)
  const agreed = counts.failed === 0 && counted === counts.served
  told.line(agreed ? 'nothing was dropped, and both counts agree' : 'THE COUNTS DO NOT AGREE')
  return agreed
}
