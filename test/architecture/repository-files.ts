import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const generated = new Set(['node_modules', 'dist', '.git', '.belay', 'coverage', '.oxlint'])

/** Every file of the repository that people write: paths relative to `top`, sorted. */
export function listRepositoryFiles(top: string, directory = ''): string[] {
  return readdirSync(join(top, directory), { withFileTypes: true })
    .filter((entry) => !generated.has(entry.name))
    .flatMap((entry) => {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (entry.isDirectory()) return listRepositoryFiles(top, path)
      return entry.isFile() ? [path] : []
    })
    .toSorted()
}
