import type { PipelineDocument, StepSource } from './document.ts'
import { imagesOfDeployments } from './lint-releases.ts'
import type { Problem } from './problem.ts'
import { problemAtValue, quote } from './problem.ts'
import { placesOfEnvironments, registryOf, type ProjectRules } from './project-rules.ts'

/** Can each environment run the image that goes there? Only where `lintPipeline` and `checkRules` found nothing wrong. */
export function checkTargets(document: PipelineDocument, rules: ProjectRules): Problem[] {
  const images = imagesOfDeployments(document)
  return document.steps.flatMap((step) => {
    const image = images.get(step.id)
    if (step.body.kind !== 'deploy' || image === undefined) return []
    return placesOfEnvironments(step.body.deploy).flatMap(({ environment, at }) => {
      const target = rules.environmentTargets?.[environment]
      const why = target === undefined ? undefined : findMisfit(image, environment, { target, rules })
      if (why === undefined) return []
      return [problemAtValue(document.places, ['steps', step.id, 'deploy', ...at], { code: 'unfit_image', ...why })]
    })
  })
}

type Misfit = { message: string; hint: string }

function findMisfit(
  image: StepSource,
  environment: string,
  { target, rules }: { target: 'process' | 'docker'; rules: ProjectRules },
): Misfit | undefined {
  if (image.body.kind !== 'build_image') return undefined
  const { builder, repository } = image.body.buildImage
  if (target === 'process' && builder !== 'pack') {
    return {
      message: `${quote(environment)} has the target process, which runs images of \`pack\`, and ${quote(image.id)} is one of a Dockerfile`,
      hint: 'say `builder: pack`, or let the operator give the environment the target docker',
    }
  }
  if (target === 'docker' && registryOf(repository, rules) === undefined) {
    return {
      message: `${quote(environment)} has the target docker, which pulls from a registry, and ${quote(image.id)} stays on disk`,
      hint:
        rules.registries.length === 0
          ? 'the operator adds a registry to `registries` of belay.config.yml'
          : `begin its \`repository\` with a registry: ${rules.registries.map((name) => `${name}/app`).join(', ')}`,
    }
  }
  return undefined
}
