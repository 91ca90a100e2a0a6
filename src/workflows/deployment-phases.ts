/** The pieces of a deployment: its phases as they are told, and the way back as a list of operations. */
import { patched } from '@temporalio/workflow'
import type { DeployOperation, DeployerActivities, HealthReport, Operation } from '../contract/activities.ts'
import { defaults } from '../domain/defaults.ts'
import { noteGiven } from '../domain/environment-given.ts'
import type { Deployment, DeploymentPhase, EnvironmentState, RollbackRequest } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import type { Deploy } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import { deployerOnce } from './activities.ts'
import { reasonOf } from './failure.ts'
import type { News } from './news.ts'

/** An image may have to be fetched, and its application be slow to start. */
const restoreLimitMs = 2 * defaults.deployment.phaseMs

/** Operations of one try: each has the next fence. */
export type TakeOperations = <Names extends string[]>(...names: Names) => Promise<{ [N in keyof Names]: Operation }>

export async function clear(activities: DeployerActivities, take: TakeOperations): Promise<void> {
  const [operation] = await take('clear')
  await activities.clear(operation)
}

export async function backTo(
  { state, release, strategy }: { state: EnvironmentState; release: ReleaseRef; strategy: Deploy['strategy'] },
  activities: DeployerActivities,
  take: TakeOperations,
): Promise<void> {
  const rest = { release, deploy: { health: {}, bakeMs: 0, strategy } }
  const healthyStill = (report: HealthReport) => mustBeHealthy('is not healthy any more', report)
  const operation = async (name: string): Promise<DeployOperation> => ({ ...(await take(name))[0], ...rest })
  if (patched('back-in-one')) {
    const [stage, check, activate] = await take('stage', 'check', 'activate')
    const { given, report } = await deployerOnce(restoreLimitMs).restore({
      environment: state.name,
      ...rest,
      stage,
      check,
      activate,
    })
    noteGiven(state, release.image.digest, given)
    healthyStill(report)
  } else {
    const staged = await activities.stage(await operation('stage'))
    noteGiven(state, release.image.digest, staged?.given)
    healthyStill(await activities.check(await operation('check')))
    await activities.activate(await operation('activate'))
  }
  mustBeHealthy('does not serve', await activities.verify(await operation('verify')))
  const [retire] = await take('retire')
  await activities.retire(retire)
}

export function mustBeHealthy(what: string, report: HealthReport): void {
  if (!report.healthy)
    throw new BelayError({
      code: 'refused',
      message: `the release ${what}${report.reason === undefined ? '' : `: ${report.reason}`}`,
    })
}

/** `by`: a person's rollback; absent: the run itself wants it undone. */
export function interrupted(by?: RollbackRequest): BelayError {
  const why = by?.reason === undefined ? '' : ` (${by.reason})`
  const first = by === undefined ? 'its undo goes first' : `a rollback by ${by.actor.name} goes first${why}`
  return new BelayError({ code: 'conflict', message: `interrupted: ${first}` })
}

/** A person's rollback belongs to no run: its story is the deployment's row. */
export const silentNews: News = { tell: () => undefined, drain: () => Promise.resolve([]) }

export async function told<T>(news: News, deployment: Deployment, phase: DeploymentPhase, body: () => Promise<T>): Promise<T> {
  const { id: deploymentId, environment, release, previous } = deployment
  const back = phase === 'undo'
  const base = {
    type: 'deployment' as const,
    environment,
    deploymentId,
    phase,
    release: release.number,
    digest: release.image.digest,
    ...(previous === undefined || !(back || phase === 'activate') ? {} : { previousDigest: previous.image.digest }),
  }
  news.tell({ ...base, status: 'started' })
  try {
    const result = await body()
    news.tell({ ...base, status: 'done' })
    return result
  } catch (error) {
    news.tell({ ...base, status: 'failed', reason: reasonOf(error) })
    throw error
  }
}
