import type { Problem } from './problem.ts'

/**
 * A problem as a compiler prints it: place, code and message, the line with a caret, what to do.
 * Safe for a terminal: the file's own control characters are replaced. `text` is the file it was found in.
 */
export function formatProblem(problem: Problem, text: string): string {
  const head = `${printable(problem.path)}:${problem.line}:${problem.column}: error[${problem.code}]: ${printable(problem.message)}`
  const help = problem.hint === undefined ? [] : [`help: ${printable(problem.hint)}`]
  return [head, ...excerpt(problem, text), ...help].join('\n')
}

const widest = 120

function excerpt(problem: Problem, text: string): string[] {
  const line = text
    .replace(/^\uFEFF/, '')
    .split('\n', problem.line)
    [problem.line - 1]?.replace(/\r$/, '')
  if (line === undefined || line.trim() === '') return []
  // A very long line is shown around the place, not whole.
  const start = problem.column > widest ? problem.column - widest / 2 : 0
  const shown = line.slice(start, start + widest)
  const margin = `${String(problem.line).padStart(4)} | `
  const gap = ' '.repeat(4) + ' | ' + ' '.repeat(Math.max(0, problem.column - 1 - start))
  return [margin + printable(shown.replaceAll('\t', ' ')), `${gap}^`]
}

function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}
