import type { DeployerActivities, RestoreOperation } from '../contract/activities.ts'

/** `activities`: as they are registered, so that each of the three passes its own fault points. */
export async function restore(
  activities: Pick<DeployerActivities, 'stage' | 'check' | 'activate'>,
  { stage, check, activate, ...input }: RestoreOperation,
): ReturnType<DeployerActivities['restore']> {
  const staged = await activities.stage({ ...input, ...stage })
  const report = await activities.check({ ...input, ...check })
  if (report.healthy) await activities.activate({ ...input, ...activate })
  return { ...staged, report }
}
