import { buildah } from './buildah/buildah.ts'
import type { Builder } from './builder.ts'
import { docker } from './docker/docker.ts'
import { pack } from './pack/pack.ts'

/** All builders that Belay knows. A new one is a folder and a line here. */
export const builders = [pack, docker, buildah] satisfies readonly Builder[]
