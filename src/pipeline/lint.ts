import type { PipelineDocument } from './document.ts'
import { lintBakes } from './lint-bakes.ts'
import { lintReferences } from './lint-references.ts'
import { lintReleases } from './lint-releases.ts'
import type { Problem } from './problem.ts'
import { sortProblems } from './problem.ts'

/** What is wrong between the parts of a well-formed file: names, stages, circles, releases, limits. Empty: nothing. */
export function lintPipeline(document: PipelineDocument): Problem[] {
  const problems = lintReferences(document)
  // What a step comes after is only known once every name is right.
  return sortProblems([...lintBakes(document), ...(problems.length > 0 ? problems : lintReleases(document))])
}
