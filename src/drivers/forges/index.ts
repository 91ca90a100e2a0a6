import type { Forge } from './forge.ts'
import { generic } from './generic/generic.ts'
import { forgejo, gitea } from './gitea/gitea.ts'
import { github } from './github/github.ts'

/** All forges that Belay knows. A new one is a folder and a line here. */
export const forges = [github, gitea, forgejo, generic] as const satisfies readonly Forge[]

export function findForge(name: string): Forge | undefined {
  return forges.find((forge) => forge.name === name)
}
