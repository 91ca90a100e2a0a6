import { BelayError } from '../domain/errors.ts'

/** Something wrong in the configuration file: where, what, and what to do. */
export interface ConfigProblem {
  line: number
  column: number
  /** Keys from the root, e.g. `projects.shop.forge`; empty for the whole file. */
  path: string
  message: string
  hint?: string | undefined
}

/** All problems at once, in the order of the file, as a compiler would print them. */
export function configError(file: string, problems: readonly ConfigProblem[]): BelayError {
  const ordered = [...problems].sort((a, b) => a.line - b.line || a.column - b.column)
  return new BelayError({
    code: 'invalid_config',
    message: ordered.map((problem) => formatProblem(file, problem)).join('\n'),
    hint: '`belay doctor` checks it again.',
  })
}

function formatProblem(file: string, { line, column, path, message, hint }: ConfigProblem): string {
  const subject = path === '' ? '' : `${path}: `
  const help = hint === undefined ? '' : `\n  help: ${hint}`
  return `${file}:${String(line)}:${String(column)}: ${subject}${message}${help}`
}
