import { BelayError } from '../../domain/errors.ts'
import { formatProblem } from '../../pipeline/format-problem.ts'
import { validatePipeline } from '../../pipeline/validate.ts'

/** What we wrote ourselves, by the rules of `belay validate`; gives the ids of its steps. Throws `internal` if there is a problem. */
export function checkOwnText(text: string): string[] {
  const read = validatePipeline({ path: '.belay.yml', text })
  if ('document' in read) return read.document.steps.map(({ id }) => id)
  const problems = read.problems.map((problem) => formatProblem(problem, text))
  throw new BelayError({
    code: 'internal',
    message: `what init would write is not valid, so nothing was written:\n${problems.join('\n\n')}`,
    hint: 'This is a fault of Belay, not of your repository. Write .belay.yml by hand.',
  })
}
