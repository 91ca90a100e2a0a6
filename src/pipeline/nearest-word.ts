/** The word that was probably meant: the nearest by edit distance, if it is near enough to be worth saying. */
export function findNearestWord(word: string, known: Iterable<string>): string | undefined {
  if (word.length > longestWord) return undefined
  const allowed = Math.max(1, Math.floor(word.length / 3))
  let best: { word: string; distance: number } | undefined
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) > allowed) continue
    const distance = editDistance(fold(word), fold(candidate))
    if (distance <= allowed && (best === undefined || distance < best.distance)) best = { word: candidate, distance }
  }
  return best?.word
}

/** A hint that names the nearest word, or else all of them if they are few. */
export function suggestWord(word: string, known: readonly string[]): string | undefined {
  const nearest = findNearestWord(word, known)
  if (nearest !== undefined) return `did you mean "${nearest}"?`
  return known.length === 0 || known.length > 12 ? undefined : `known here: ${known.join(', ')}`
}

const longestWord = 64

/** `working-directory` and `workingDirectory` mean `working_directory`. */
function fold(word: string): string {
  return word
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase()
}

/** Insertions, deletions, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(at(previous, column) + 1, at(current, column - 1) + 1, at(previous, column - 1) + (same ? 0 : 1))
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped && row > 1 && column > 1) cost = Math.min(cost, at(before, column - 2) + 1)
      current.push(cost)
    }
    before = previous
    previous = current
  }
  return at(previous, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity
}
