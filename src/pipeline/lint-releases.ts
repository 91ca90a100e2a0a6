import type { PipelineDocument, StepSource } from './document.ts'
import { ancestorsOf } from './graph.ts'
import { addImpliedRelease, findImpliedRelease, needImpliedRelease } from './implied-release.ts'
import { resolveNeeds } from './order.ts'
import type { Problem } from './problem.ts'
import { problemAtKey, problemAtValue } from './problem.ts'

/** Is there exactly one release for each deployment, and something in each release? Only where all references hold. */
export function lintReleases(document: PipelineDocument): Problem[] {
  const { places } = document
  const implied = findImpliedRelease(document.steps)
  const taken = implied !== undefined && [...document.steps, ...document.finally].some((step) => step.id === implied.id)
  if (taken) {
    const root = document.steps.some((step) => step.id === implied.id) ? 'steps' : 'finally'
    const message = `"${implied.id}" is the name of the release that Belay makes of "${implied.image}"`
    const hint = 'choose another name, or write a `release` step'
    return [problemAtKey(places, [root, implied.id], { code: 'reserved_name', message, hint })]
  }
  const context = contextOf(document)
  return document.steps.flatMap((step) => [...lintDeploy(context, step), ...lintRelease(context, step)])
}

/** By deployment: the image that its release is made of. Only where `lintReleases` found nothing wrong. */
export function imagesOfDeployments(document: PipelineDocument): Map<string, StepSource> {
  const { steps, before } = contextOf(document)
  return new Map(
    document.steps.flatMap((step) => {
      const release = step.kind === 'deploy' ? before(step.id).find((other) => other.kind === 'release') : undefined
      const from = release?.body.kind === 'release' ? release.body.release.from : []
      const image = steps.find((other) => other.kind === 'build_image' && from.includes(other.id))
      return image === undefined ? [] : [[step.id, image] as const]
    }),
  )
}

function contextOf(document: PipelineDocument): Context {
  const implied = findImpliedRelease(document.steps)
  const steps = addImpliedRelease(document.steps)
  const nodes = resolveNeeds({ steps, stages: document.stages })
  const ancestors = ancestorsOf(implied === undefined ? nodes : needImpliedRelease(nodes, steps, implied))
  return { document, steps, before: (id) => steps.filter((step) => ancestors.get(id)?.has(step.id) === true) }
}

interface Context {
  document: PipelineDocument
  /** With the implied release. */
  steps: readonly StepSource[]
  /** Steps that a step needs, near and far. */
  before(id: string): StepSource[]
}

function lintDeploy({ document, steps, before }: Context, step: StepSource): Problem[] {
  if (step.kind !== 'deploy') return []
  const path = ['steps', step.id, 'deploy']
  const upstream = before(step.id).filter((other) => other.kind === 'release')
  const [only] = upstream
  if (only !== undefined && upstream.length === 1) return []
  if (upstream.length > 1) {
    const names = upstream.map((other) => other.id).join(', ')
    const hint = 'a deployment takes one release: let `needs` lead to one only'
    return [
      problemAtKey(document.places, path, { code: 'several_releases', message: `"${step.id}" could deploy ${names}`, hint }),
    ]
  }
  const message = `"${step.id}" has no release to deploy`
  return [problemAtKey(document.places, path, { code: 'no_release', message, hint: adviseRelease(steps) })]
}

function adviseRelease(steps: readonly StepSource[]): string {
  const release = steps.find((step) => step.kind === 'release')
  if (release !== undefined)
    return `let it come after the release: needs: [${release.body.kind === 'release' ? releaseName(steps, release) : ''}]`
  const images = steps.filter((step) => step.kind === 'build_image').map((step) => step.id)
  if (images.length > 1) return `write a step with release: { from: [${images[0] ?? ''}] }: there are several images`
  return 'write a `build_image` step before it'
}

/** An implied release cannot be named; the image it is made of can. */
function releaseName(steps: readonly StepSource[], release: StepSource): string {
  const implied = findImpliedRelease(steps.filter((step) => step !== release))
  return implied?.id === release.id ? implied.image : release.id
}

function lintRelease({ document, before }: Context, step: StepSource): Problem[] {
  if (step.body.kind !== 'release') return []
  const path = ['steps', step.id, 'release', 'from']
  const upstream = before(step.id)
  const sources = step.body.release.from.map((from) => upstream.find((other) => other.id === from))
  const problems = step.body.release.from.flatMap((from, index) => {
    const source = sources[index]
    if (source === undefined) {
      const problem = {
        code: 'invalid_value',
        message: `"${step.id}" does not come after "${from}"`,
        hint: `add "${from}" to its \`needs\``,
      } as const
      return [problemAtValue(document.places, [...path, index], problem)]
    }
    if (source.kind === 'build_image' || source.spec.artifacts !== undefined) return []
    const problem = {
      code: 'invalid_value',
      message: `"${from}" leaves nothing behind`,
      hint: 'give it `artifacts`, or take it out',
    } as const
    return [problemAtValue(document.places, [...path, index], problem)]
  })
  const images = new Set(sources.filter((source) => source?.kind === 'build_image'))
  if (problems.length > 0 || images.size === 1) return problems
  const code = images.size === 0 ? 'no_release' : 'not_yet'
  const message =
    images.size === 0 ? `the release "${step.id}" has no image` : 'a release of several images is not carried out yet'
  return [problemAtValue(document.places, path, { code, message, hint: 'name one `build_image` step in `from`' })]
}
