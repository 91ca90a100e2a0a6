/** Prints the demo as a story that a person can follow: acts, lines with the time since the start, and a summary. */
export interface Story {
  act(title: string): void
  line(text: string): void
}

export function createStory(): Story {
  const startedAt = performance.now()
  const clock = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s`
  return {
    act(title) {
      process.stdout.write(`\n${title}\n`)
    },
    line(text) {
      process.stdout.write(`${clock()}  ${text}\n`)
    },
  }
}

export function short(digest: string): string {
  return digest.replace('sha256:', '').slice(0, 12)
}
