import { expect, it } from 'vitest'
import type { DeployerActivities, HealthReport, RestoreOperation } from '../contract/activities.ts'
import { restore } from './restore.ts'

const image = { repository: 'shop', digest: `sha256:${'0'.repeat(64)}` }
const input: RestoreOperation = {
  environment: 'production',
  release: { id: 'r1', project: 'shop', number: 1, version: '1', image, runId: 'run', sha: 'abc' },
  deploy: { health: {}, bakeMs: 0, strategy: 'recreate' },
  stage: { fence: 4, operationId: 'd/undo-stage/1' },
  check: { fence: 5, operationId: 'd/undo-check/1' },
  activate: { fence: 6, operationId: 'd/undo-activate/1' },
}
const rest = { environment: 'production', release: input.release, deploy: input.deploy }

/** Says what it was asked for. */
function deployer(report: HealthReport, asked: unknown[]): Pick<DeployerActivities, 'stage' | 'check' | 'activate'> {
  const note =
    <T>(name: string, result: T) =>
    (given: unknown): Promise<T> => {
      asked.push([name, given])
      return Promise.resolve(result)
    }
  return {
    stage: note('stage', { given: { LEVEL: { value: 'one' } } }),
    check: note('check', report),
    activate: note('activate', {}),
  }
}

const healthy = { healthy: true, probes: 1, requests: 0, errors: 0 }

it('stages, checks and switches traffic, each as the operation it was given', async () => {
  const asked: unknown[] = []
  expect(await restore(deployer(healthy, asked), input)).toEqual({ given: { LEVEL: { value: 'one' } }, report: healthy })
  expect(asked).toEqual([
    ['stage', { ...rest, ...input.stage }],
    ['check', { ...rest, ...input.check }],
    ['activate', { ...rest, ...input.activate }],
  ])
})

it('gives no traffic to a release that is not healthy any more, and says why', async () => {
  const asked: unknown[] = []
  const report = { ...healthy, healthy: false, reason: 'its process exited with code 1' }
  expect(await restore(deployer(report, asked), input)).toEqual({ given: { LEVEL: { value: 'one' } }, report })
  expect(asked.map((call) => (call as unknown[])[0])).toEqual(['stage', 'check'])
})
