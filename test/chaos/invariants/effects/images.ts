/**
 * Images, by the registry: it holds what a step says it pushed, that was pushed once for each time that a step began to, and the
 * commit's tag names it.
 */
import type { Image } from '../../../../src/domain/step.ts'
import { mapSome } from '../../collections.ts'
import type { World } from '../../evidence.ts'
import type { FindingWriter } from '../../finding.ts'
import { wasCutBetween } from '../../interruptions.ts'
import type { Memory } from '../../memory.ts'
import { epochsOf } from './commands.ts'

const atOnce = 8
const answerLimitMs = 20_000
const accept = ['application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.manifest.v1+json'].join(', ')

export async function checkImages(memory: Memory, finding: FindingWriter): Promise<void> {
  const { runs, world, ledger } = memory
  const pushed = runs.flatMap(({ run, steps }) =>
    steps.flatMap(({ step, status, result }) => {
      // A release names the image that another step has pushed.
      const image = status === 'succeeded' && result?.release === undefined ? result?.image : undefined
      return image?.registry === undefined ? [] : [{ run, step, image }]
    }),
  )
  if (pushed.length === 0) return
  const pushes = readPushes(world.registry.log())
  await mapSome(pushed, atOnce, async ({ run, step, image }) => {
    finding.look('images')
    const about = `run ${run.id}, image of ${step}`
    const name = nameIn(image)
    const held = await askRegistry(world, name, image.digest)
    if (held !== image.digest) finding.blame(about, `the registry does not hold ${name}@${image.digest}: ${held}`)
    const key = `${name}@${image.digest}`
    const times = pushes.get(key) ?? []
    if (times.length === 0) finding.blame(about, `nobody pushed ${key}, by the registry's log`)
    // Of the same commit it is the same image, whichever run made it.
    const begun = runs
      .filter((other) => other.run.trigger.sha === run.trigger.sha)
      .flatMap((other) => other.steps.map((row) => ({ other, row })).filter(({ row }) => row.step === step))
      .flatMap(({ other, row }) => epochsOf(memory, other, row.step, row.attempt))
    const isCut = wasCutBetween(ledger, Math.min(...times), Math.max(...times), ['registry', 'reply to a push'])
    if (times.length > begun.length && !isCut)
      finding.blame(about, `${key} was pushed ${String(times.length)} times, and a step began to ${String(begun.length)} times`)
    const tagged = await askRegistry(world, name, run.trigger.sha)
    const right = pushed.filter((other) => other.run.trigger.sha === run.trigger.sha && nameIn(other.image) === name)
    if (tagged.startsWith('sha256:') && !right.some((other) => other.image.digest === tagged)) {
      finding.blame(about, `the tag ${run.trigger.sha} names ${tagged}, which no step of that commit says it pushed`)
    }
  })
}

/** When each manifest was put under its own digest, by name and digest (ms since 1970, whole seconds). */
function readPushes(log: string): Map<string, number[]> {
  const pushes = new Map<string, number[]>()
  for (const [, at = '', name = '', digest = ''] of log.matchAll(
    /\[([^\]]+)\] "PUT \/v2\/(\S+)\/manifests\/(sha256:[0-9a-f]{64}) HTTP\/[\d.]+" 201/g,
  )) {
    const key = `${name}@${digest}`
    // 29/Nov/2026:23:37:18 +0000
    const ms = Date.parse(at.replace(':', ' ').replaceAll('/', ' '))
    pushes.set(key, [...(pushes.get(key) ?? []), ms])
  }
  return pushes
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
