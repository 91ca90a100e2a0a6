import { bakeOf } from './compile-step.ts'
import { defaults } from './defaults.ts'
import type { PipelineDocument, StepSource } from './document.ts'
import type { Problem } from './problem.ts'
import { problemAtValue } from './problem.ts'

/** A limit that ends before the bake does would take every release back, however healthy. */
export function lintBakes(document: PipelineDocument): Problem[] {
  return document.steps.flatMap((step) => lintBake(document, step))
}

function lintBake(
  { places, timeoutMs: runMs = defaults.runTimeoutMs }: PipelineDocument,
  { id, spec, body }: StepSource,
): Problem[] {
  const bakeMs = bakeOf(body)
  if (spec.timeout !== undefined && spec.timeout <= bakeMs) {
    const message = `the timeout of "${id}" covers its bake, and is not longer`
    const rounds = body.kind === 'deploy' && body.deploy.at_once !== undefined ? ' (of a group: of each round of `at_once`)' : ''
    const hint = `give it more than \`bake.for\`${rounds}, or leave it out: then it is 30m and the bake`
    return [problemAtValue(places, ['steps', id, 'timeout'], { code: 'invalid_value', message, hint })]
  }
  if (runMs > bakeMs) return []
  const message = `the bake of "${id}" is not shorter than the run may last`
  const hint = 'raise `timeout` of the pipeline: unless written, a run ends after 6h'
  return [problemAtValue(places, ['steps', id, 'deploy', 'bake', 'for'], { code: 'invalid_value', message, hint })]
}
