import type { Builder } from './builder.ts'
import { pack } from './pack/pack.ts'

export const builders = [pack] satisfies readonly Builder[]
