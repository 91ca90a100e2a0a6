import { afterAll, beforeEach, expect, it } from 'vitest'
import { commandsStep, planOf } from '../../../../src/runner/testing/plan.ts'
import { digestOf } from '../../../contracts/store/samples.ts'
import { registryMissing, startRegistry, type RunningRegistry } from '../../../helpers/registry.ts'
import { skipUnless } from '../../../helpers/skips.ts'
import { createFinding } from '../../finding.ts'
import { checkImages } from './images.ts'
import { change, linesOf, smallWorlds, type SmallWorld } from '../testing.ts'

const openWorld = smallWorlds()
const missing = registryMissing()
let started: Promise<RunningRegistry> | undefined

beforeEach(() => skipUnless(missing === undefined, missing ?? ''))
afterAll(async () => (await started)?.stop())

it('an image that the registry holds, under the tag of its commit', async () => {
  const { small, registry, commit } = await worldOf('good')
  await push(registry, 'good', [commit, digestOf(manifestOf('good'))])
  expect(await judge(small)).toEqual([])
})

it('says that the registry does not hold an image', async () => {
  const { small, run } = await worldOf('gone')
  await push(await registryNow(), 'gone', ['another'], manifestOf('other'))
  expect(await judge(small)).toEqual([
    `I4 run ${run}, image of build: the registry does not hold gone@${digestOf(manifestOf('gone'))}: 404`,
    `I4 run ${run}, image of build: nobody pushed gone@${digestOf(manifestOf('gone'))}, by the registry's log`,
  ])
})

it('says that one was pushed more often than a step began to, unless the registry was broken then', async () => {
  const { small, registry } = await worldOf('twice')
  const digest = digestOf(manifestOf('twice'))
  await push(registry, 'twice', [digest])
  expect(await judge(small)).toEqual([])
  await push(registry, 'twice', [digest])
  expect((await judge(small)).join()).toContain(`twice@${digest} was pushed 2 times, and a step began to 1 times`)
  small.ledger.faults.push({ at: Date.now() - 5_000, name: 'reply to a push lost', healedAt: Date.now() + 5_000 })
  expect(await judge(small)).toEqual([])
})

it('says that the tag of a commit names an image that no step of it made', async () => {
  const { small, registry, commit } = await worldOf('moved')
  await push(registry, 'moved', [digestOf(manifestOf('moved'))])
  await push(registry, 'moved', [commit], manifestOf('other'))
  expect((await judge(small)).join()).toContain(`the tag ${commit} names ${digestOf(manifestOf('other'))}, which no step`)
})

/** With one run, whose step `build` says that it pushed this image. */
async function worldOf(name: string) {
  const registry = await registryNow()
  const small = await openWorld({ registry })
  const [run] = await small.deliver()
  if (run === undefined) throw new Error('no run')
  const image = { repository: `main/${name}`, digest: digestOf(manifestOf(name)), registry: 'main' }
  await small.carryOut(run, {
    plan: planOf([commandsStep('build', ['make'])]),
    changes: [change('build', 'succeeded', { result: { image } })],
  })
  return { small, registry, commit: run.trigger.sha, run: run.id }
}

function registryNow(): Promise<RunningRegistry> {
  return (started ??= startRegistry({ auth: { username: 'belay', password: 'a password' } }))
}

async function judge(small: SmallWorld): Promise<string[]> {
  const finding = createFinding('I4')
  await checkImages(await small.remember(), finding)
  expect(finding.looked['I4 images']).toBe(1)
  return linesOf(finding.violations)
}

/** An index of nothing: a registry takes it without any blob. */
function manifestOf(name: string): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [],
    annotations: { name },
  })
}

async function push({ access }: RunningRegistry, name: string, references: string[], manifest = manifestOf(name)): Promise<void> {
  const authorization = `Basic ${Buffer.from(`${String(access.username)}:${String(access.password)}`).toString('base64')}`
  const headers = { authorization, 'content-type': 'application/vnd.oci.image.index.v1+json' }
  for (const reference of references) {
    const answer = await fetch(`${access.url}/v2/${name}/manifests/${reference}`, { method: 'PUT', headers, body: manifest })
    expect([answer.status, await answer.text()]).toEqual([201, ''])
  }
}
