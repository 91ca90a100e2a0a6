export interface Ordered {
  name: string
  needs: readonly string[]
}

/** As they stand, but none before what it needs; what is needed and not there, or in a circle, holds nothing up. */
export function inOrder<Job extends Ordered>(jobs: readonly Job[]): Job[] {
  const names = new Set(jobs.map(({ name }) => name))
  const done = new Set<string>()
  const waiting = [...jobs]
  const sorted: Job[] = []
  while (waiting.length > 0) {
    const at = waiting.findIndex(({ needs }) => needs.every((need) => done.has(need) || !names.has(need)))
    const [job] = waiting.splice(Math.max(at, 0), 1)
    if (job === undefined) break
    done.add(job.name)
    sorted.push(job)
  }
  return sorted
}
