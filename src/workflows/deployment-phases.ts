/** The pieces of a deployment: its phases as they are told, and the way back as a list of operations. */
import type { DeployOperation, DeployerActivities, HealthReport, Operation } from '../contract/activities.ts'
import { noteGiven } from '../domain/environment-given.ts'
import type { Deployment, DeploymentPhase, EnvironmentState, RollbackRequest } from '../domain/environment.ts'
import { BelayError } from '../domain/errors.ts'
import type { Deploy } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import { reasonOf } from './failure.ts'
import type { News } from './news.ts'

export async function clear(activities: DeployerActivities, step: (name: string) => Promise<Operation>): Promise<void> {
  await activities.clear(await step('clear'))
}

export async function backTo(
  { state, release, strategy }: { state: EnvironmentState; release: ReleaseRef; strategy: Deploy['strategy'] },
  activities: DeployerActivities,
  step: (name: string) => Promise<Operation>,
): Promise<void> {
  const operation = async (name: string): Promise<DeployOperation> => ({
    ...(await step(name)),
    release,
    deploy: { health: {}, bakeMs: 0, strategy },
  })
  const staged = await activities.stage(await operation('stage'))
  noteGiven(state, release.image.digest, staged?.given)
  mustBeHealthy('is not healthy any more', await activities.check(await operation('check')))
  await activities.activate(await operation('activate'))
  mustBeHealthy('does not serve', await activities.verify(await operation('verify')))
  await activities.retire(await step('retire'))
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
