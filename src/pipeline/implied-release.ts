import type { StepSketch, StepSource } from './document.ts'
import { ancestorsOf } from './graph.ts'
import type { Node } from './graph.ts'

/** The release that a pipeline's only image is, where no step makes one. */
export interface ImpliedRelease {
  id: string
  image: string
}

/** Set if there is one `build_image` step and no `release` step. */
export function findImpliedRelease(steps: readonly StepSketch[]): ImpliedRelease | undefined {
  const images = steps.filter((step) => step.kind === 'build_image')
  const [image] = images
  if (image === undefined || images.length > 1 || steps.some((step) => step.kind === 'release')) return undefined
  return { id: `${image.id}_release`, image: image.id }
}

/** Adds the step right after the image, in its stage: what follows the image by order follows the release. */
export function addImpliedRelease(steps: readonly StepSource[]): StepSource[] {
  const implied = findImpliedRelease(steps)
  if (implied === undefined) return [...steps]
  return steps.flatMap((step): StepSource[] => {
    if (step.id !== implied.image) return [step]
    const release: StepSource = {
      id: implied.id,
      stage: step.stage,
      needs: [step.id],
      kind: 'release',
      spec: {},
      body: { kind: 'release', release: { from: [step.id] } },
    }
    return [step, release]
  })
}

/** Deployments below the image that name it, or come after it some other way, need the release made of it too. */
export function needImpliedRelease(nodes: readonly Node[], steps: readonly StepSketch[], implied: ImpliedRelease): Node[] {
  const ancestors = ancestorsOf(nodes)
  const deploys = new Set(steps.filter((step) => step.kind === 'deploy').map((step) => step.id))
  return nodes.map((node) => {
    const before = ancestors.get(node.id)
    const wanted = deploys.has(node.id) && before?.has(implied.image) === true && !before.has(implied.id)
    return wanted ? { id: node.id, needs: [...node.needs, implied.id] } : node
  })
}
