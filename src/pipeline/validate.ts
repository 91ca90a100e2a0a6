import { checkTargets } from './check-targets.ts'
import type { PipelineDocument } from './document.ts'
import { lintPipeline } from './lint.ts'
import type { PipelineFile } from './parse.ts'
import { readPipeline } from './parse.ts'
import type { Problem } from './problem.ts'
import { sortProblems } from './problem.ts'
import type { ProjectRules } from './project-rules.ts'
import { checkRules } from './project-rules.ts'

/** All that can be said about a file before there is a trigger: shape, references and, if given, the project's rules. */
export function validatePipeline(
  file: PipelineFile,
  rules?: ProjectRules,
): { document: PipelineDocument } | { problems: Problem[] } {
  const read = readPipeline(file)
  const problems = 'document' in read ? lintPipeline(read.document) : read.problems
  const sketch = 'document' in read ? read.document : read.sketch
  const all = rules === undefined || sketch === undefined ? problems : [...problems, ...checkRules(sketch, rules)]
  const fit = 'document' in read && rules !== undefined && all.length === 0 ? checkTargets(read.document, rules) : []
  const found = [...all, ...fit]
  return 'document' in read && found.length === 0 ? { document: read.document } : { problems: sortProblems(found) }
}
