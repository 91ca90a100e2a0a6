import type { Position } from './problem.ts'

/** Offset → line and column. `yaml` has a counter of its own, which misses some line ends of files that are badly broken. */
export function createPositions(text: string): (offset: number) => Position {
  const starts = [0]
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1)) starts.push(end + 1)
  return (offset) => {
    const within = Math.min(Math.max(0, offset), text.length)
    const line = lastAtMost(starts, within)
    return { line: line + 1, column: within - (starts[line] ?? 0) + 1 }
  }
}

/** Index of the last number that is not above the limit; the numbers rise, and the first is 0. */
function lastAtMost(numbers: readonly number[], limit: number): number {
  let low = 0
  let high = numbers.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((numbers[middle] ?? 0) <= limit) low = middle
    else high = middle - 1
  }
  return low
}
