import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Regular files below the directory whose bytes contain the text. What vanishes during the search is not there. */
export function filesThatContain(directory: string, text: string): string[] {
  const wanted = Buffer.from(text)
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => readIfThere(file).includes(wanted))
}

function readIfThere(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}
