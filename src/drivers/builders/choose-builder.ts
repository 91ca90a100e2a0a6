import { BelayError } from '../../domain/errors.ts'
import type { Builder, BuildImageInput } from './builder.ts'

/** What `auto` takes, the first that can work here. */
const automatic = ['docker', 'buildah'] as const

/** The builder that is asked for. Throws `missing_part` if it, or for `auto` none of them, can work here. */
export async function chooseBuilder(
  builders: readonly Builder[],
  input: Pick<BuildImageInput, 'build' | 'env' | 'signal'>,
): Promise<Builder> {
  const wanted = input.build.builder
  const names: readonly string[] = wanted === 'auto' ? automatic : [wanted]
  const obstacles: string[] = []
  for (const name of names) {
    const builder = builders.find((candidate) => candidate.name === name)
    const obstacle = builder === undefined ? 'this runner has none' : await builder.findObstacle(input)
    if (builder !== undefined && obstacle === undefined) return builder
    obstacles.push(`${name}: ${obstacle ?? ''}`)
  }
  throw new BelayError({
    code: 'missing_part',
    message: `the image cannot be built on this runner: ${obstacles.join('; ')}`,
    hint: 'Where there is no engine, `buildah` builds without one, and `pack` needs neither.',
  })
}
