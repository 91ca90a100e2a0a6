import type { Forge } from './forge.ts'
import { github } from './github/github.ts'

/** All forges that Belay knows. A new one is a folder and a line here. */
export const forges = [github] as const satisfies readonly Forge[]

export function findForge(name: string): Forge | undefined {
  return forges.find((forge) => forge.name === name)
}
