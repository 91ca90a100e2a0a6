/**
 * What every step of a chaos run prints, so that a log can be judged without its pipeline: `<step> line <i> of <n>` for i from
 * 1 to n. A step that ends by itself, well or badly, has printed all of them.
 */

export function expectedLines(step: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => lineOf(step, index + 1, count))
}

function lineOf(step: string, index: number, count: number): string {
  return `${step} line ${String(index)} of ${String(count)}`
}

/** The shell command that prints the lines from one to another. In a pipeline it stands in one line, without a single quote. */
export function printLines(count: number, { from = 1, to = count }: { from?: number; to?: number } = {}): string {
  return `i=${String(from)}; while [ $i -le ${String(to)} ]; do echo "$BELAY_STEP line $i of ${String(count)}"; i=$((i+1)); done`
}

export interface Printed {
  /** How many whole lines there are, from the first on without gap. */
  whole: number
  /** What each line says there are; undefined: there is no line. */
  count?: number
  /** What is wrong: a gap, a line twice, a torn line that is not the last. */
  fault?: string
}

/** Lines of others, Belay's own among them, are passed over. */
export function readLines(step: string, text: string): Printed {
  const lines = text.split('\n').filter((line) => line.startsWith(`${step} `))
  const whole = new RegExp(`^${step} line (\\d+) of (\\d+)$`)
  let count: number | undefined
  let seen = 0
  for (const [position, line] of lines.entries()) {
    const [, index, total] = whole.exec(line) ?? []
    const isLast = position === lines.length - 1
    const next = lineOf(step, seen + 1, count ?? Number(total ?? 0))
    // Cut in the middle of its last line; `line 1 of 1` may be the beginning of `line 1 of 12`.
    const isTorn = isLast && (index === undefined || line !== next) && isBeginning(line, step, seen + 1, count)
    if (isTorn) break
    if (index === undefined || line !== next) {
      return {
        whole: seen,
        ...(count === undefined ? {} : { count }),
        fault: `after line ${String(seen)} comes ${JSON.stringify(line)}`,
      }
    }
    count = Number(total)
    seen += 1
  }
  return { whole: seen, ...(count === undefined ? {} : { count }) }
}

function isBeginning(line: string, step: string, index: number, count: number | undefined): boolean {
  const next = count === undefined ? `${step} line ${String(index)} of ` : lineOf(step, index, count)
  return next.startsWith(line)
}
