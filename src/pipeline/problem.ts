/** What is wrong with a pipeline file, and where: data, so that the CLI, the API and a run can each show it in their way. */
export type ProblemCode =
  | 'yaml'
  | 'too_large'
  | 'too_deep'
  | 'too_many_parts'
  | 'too_many_aliases'
  | 'too_many_steps'
  | 'duplicate_key'
  | 'unknown_key'
  | 'misplaced_key'
  | 'missing_key'
  | 'invalid_value'
  | 'not_yet'
  | 'no_kind'
  | 'several_kinds'
  | 'reserved_name'
  | 'expression'
  | 'unknown_step'
  | 'unknown_stage'
  | 'later_stage'
  | 'needs_cycle'
  | 'unknown_environment'
  | 'unknown_secret'
  | 'unknown_registry'
  | 'no_release'
  | 'several_releases'
  | 'unfit_image'
  | 'loosens_health'

/** Both count from 1; a column is a UTF-16 code unit. */
export interface Position {
  line: number
  column: number
}

export interface Problem extends Position {
  code: ProblemCode
  /** One sentence, without full stop. */
  message: string
  /** What the writer can do about it. */
  hint?: string
  /** Path of the file, as it was given. */
  path: string
}

/** Keys and indexes from the root of the file to a value. */
export type KeyPath = readonly (string | number)[]

/** Finds the way back from a value to the text. A path that is not there gives the nearest thing above it that is. */
export interface Places {
  file: string
  ofKey(path: KeyPath): Position
  ofValue(path: KeyPath): Position
}

export interface ProblemText {
  code: ProblemCode
  message: string
  hint?: string | undefined
}

export function problemAtKey(places: Places, path: KeyPath, text: ProblemText): Problem {
  return toProblem(places.file, places.ofKey(path), text)
}

export function problemAtValue(places: Places, path: KeyPath, text: ProblemText): Problem {
  return toProblem(places.file, places.ofValue(path), text)
}

export function toProblem(file: string, position: Position, { code, message, hint }: ProblemText): Problem {
  return { code, message, ...(hint === undefined ? {} : { hint }), path: file, line: position.line, column: position.column }
}

/** In the order of the text; each place and code once. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const unique = new Map(
    problems.map((problem) => [`${problem.line}:${problem.column}:${problem.code}:${problem.message}`, problem]),
  )
  return [...unique.values()].sort((a, b) => a.line - b.line || a.column - b.column)
}

/** Text from a file, fit for a message: quoted, one line, short. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
