import { randomUUID } from 'node:crypto'
import type { StepChange } from '../../src/domain/run-event.ts'
import type { System } from '../../test/helpers/system.ts'
import { until } from '../../test/helpers/until.ts'
import { followRun, type FollowedRun } from './follow-run.ts'
import { short, type Story } from './story.ts'

/** What act four goes back to. */
export interface FirstRelease {
  digest: string
}

const quickly = '{ "buildDelayMs": 0 }\n'

export async function actFirstRelease(system: System, story: Story): Promise<FirstRelease> {
  story.act('Act 1. A signed push becomes a release')
  const view = await pushAndFollow(system, story, { 'version.txt': '1\n', 'behaviour.json': quickly }, 'version 1')
  expectThat(view.status === 'succeeded', `the run ended ${view.status}`)
  await answers(system, story, '1')
  const { digest } = await servedNow(system)
  return { digest }
}

export async function actBadRelease(system: System, story: Story, first: FirstRelease): Promise<void> {
  story.act('Act 2. A release that turns bad under traffic is taken back')
  const bad = { 'version.txt': '2\n', 'behaviour.json': '{ "unhealthyAfterRequests": 20 }\n' }
  const view = await pushAndFollow(system, story, bad, 'version 2, which turns bad after 20 requests')
  expectThat(view.status === 'rolled_back', `the run ended ${view.status}`)
  const switches = view.events.filter(
    ({ body }) => body.type === 'deployment' && body.status === 'done' && ['activate', 'undo'].includes(body.phase),
  )
  expectThat(switches.length === 2, `${String(switches.length)} switches instead of there and back`)
  expectThat((await servedNow(system)).digest === first.digest, 'another release than version 1 is recorded')
  await answers(system, story, '1')
}

export async function actKilledRunner(system: System, story: Story): Promise<void> {
  story.act('Act 3. The runner is killed in mid-build, and it makes no difference')
  const sha = await system.commit(
    { 'version.txt': '3\n', 'behaviour.json': '{ "buildDelayMs": 3000 }\n' },
    'version 3, which builds slowly',
  )
  const run = await system.push(sha, 'version 3')
  story.line(`pushed ${sha.slice(0, 12)}: run #${String(run.number)}`)
  const following = followRun(system, story, run.id)
  await until('the build is under way', async () => (await system.readLog(run.id, 'build')).includes('compiled 3 of 10'))
  story.line(`SIGKILL to the runner, process ${String(system.kill('runner'))}, in mid-build`)
  const view = await following
  expectThat(view.status === 'succeeded', `the run ended ${view.status}`)
  expectThat(doneTwice(view.steps).length === 0, `finished steps ran again: ${doneTwice(view.steps).join(', ')}`)
  const build = view.steps.find(({ step }) => step === 'build')
  story.line(`build went on in epoch ${String(build?.epoch)}; no finished step ran twice`)
  await answers(system, story, '3')
}

export async function actRollback(system: System, story: Story, first: FirstRelease): Promise<void> {
  story.act('Act 4. A person goes back to version 1, by digest')
  await system.client.rollback('production', { to: first.digest, reason: 'the demo' }, randomUUID())
  const deployment = await until('the rollback is carried out', async () => {
    const { items } = await system.client.listDeployments('production')
    return items.find(({ kind, status }) => kind === 'rollback' && status !== 'running')
  })
  expectThat(deployment.status === 'deployed', `the rollback ended ${deployment.status}: ${deployment.reason ?? ''}`)
  story.line(`production: rolled back to release ${String(deployment.release.number)}, ${short(first.digest)}`)
  await answers(system, story, '1')
}

async function pushAndFollow(system: System, story: Story, files: Record<string, string>, message: string): Promise<FollowedRun> {
  const sha = await system.commit(files, message)
  const run = await system.push(sha, message)
  story.line(`pushed ${sha.slice(0, 12)} "${message}": run #${String(run.number)}`)
  return followRun(system, story, run.id)
}

async function answers(system: System, story: Story, version: string): Promise<void> {
  // Asked of `/stats`, which the service does not count: only the traffic counts.
  const response = await fetch(`${system.edge}/stats`)
  const stats = (await response.json()) as { version: string }
  expectThat(response.status === 200 && stats.version === version, `version ${stats.version} answers instead of ${version}`)
  story.line(`version ${version} answers at ${system.edge}`)
}

async function servedNow(system: System): Promise<{ digest: string }> {
  const { current } = await system.client.getEnvironment('production')
  if (current === undefined) throw new Error('nothing is recorded as served')
  return { digest: current.release.image.digest }
}

/** Steps with more than one attempt that ended well: something finished was done again. */
function doneTwice(steps: StepChange[]): string[] {
  const good = steps.filter(({ status }) => status === 'succeeded').map(({ step }) => step)
  return good.filter((step, index) => good.indexOf(step) !== index)
}

function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}
