/** Images, by the registry: it holds what a step says it pushed, it was pushed, and the commit's tag names it. */
import type { Image } from '../../../../src/domain/step.ts'
import { mapSome } from '../../collections.ts'
import type { World } from '../../evidence.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory } from '../../memory.ts'

const atOnce = 8
const answerLimitMs = 20_000
const accept = ['application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.manifest.v1+json'].join(', ')

export async function checkImages({ runs, world }: Memory, finding: FindingWriter): Promise<void> {
  const pushed = runs.flatMap(({ run, steps }) =>
    steps.flatMap(({ step, status, result }) => {
      const image = status === 'succeeded' ? result?.image : undefined
      return image?.registry === undefined ? [] : [{ run, step, image }]
    }),
  )
  if (pushed.length === 0) return
  const log = world.registry.log()
  await mapSome(pushed, atOnce, async ({ run, step, image }) => {
    finding.look('images')
    const about = `run ${run.id}, image of ${step}`
    const name = nameIn(image)
    const held = await askRegistry(world, name, image.digest)
    if (held !== image.digest) finding.blame(about, `the registry does not hold ${name}@${image.digest}: ${held}`)
    if (!log.includes(`PUT /v2/${name}/manifests/`)) finding.blame(about, `nobody pushed ${name}, by the registry's log`)
    const tagged = await askRegistry(world, name, run.trigger.sha)
    const right = pushed.filter((other) => other.run.trigger.sha === run.trigger.sha && nameIn(other.image) === name)
    if (tagged.startsWith('sha256:') && !right.some((other) => other.image.digest === tagged)) {
      finding.blame(about, `the tag ${run.trigger.sha} names ${tagged}, which no step of that commit says it pushed`)
    }
  })
}

/** In the registry, without the operator's name for it. */
function nameIn({ repository }: Image): string {
  return repository.split('/').slice(1).join('/')
}

/** The digest it holds under that reference, or what else it says. */
async function askRegistry({ registry }: World, name: string, reference: string): Promise<string> {
  const { url, username, password } = registry.access
  const authorization = `Basic ${Buffer.from(`${username ?? ''}:${password ?? ''}`).toString('base64')}`
  const response = await fetch(`${url}/v2/${name}/manifests/${reference}`, {
    method: 'HEAD',
    headers: { accept, ...(username === undefined ? {} : { authorization }) },
    signal: AbortSignal.timeout(answerLimitMs),
  })
  return response.headers.get('docker-content-digest') ?? String(response.status)
}
