/** What `up` keeps beside the development server's database: which server made it, and the port it answers at. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { z } from 'zod'
import { BelayError } from '../../domain/errors.ts'
import { writeFileDurably } from '../../process/durable-file.ts'
import { findFreePort } from '../../process/free-port.ts'
import { temporalVersion } from './version.ts'

const Record = z.object({ server: z.string(), port: z.number().int().positive() })

export function temporalDatabase(directory: string): string {
  return `${directory}/temporal.db`
}

/**
 * Makes the directory ready for this server and says at which port: the one it had before, so that workers find it
 * again, unless somebody else has taken it. Throws `mismatch` if another version of the server made the database.
 */
export async function prepareTemporalDirectory(
  directory: string,
  server: string = temporalVersion.server,
): Promise<{ port: number }> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = `${directory}/server.json`
  const recorded = existsSync(file) ? Record.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
  if (recorded !== undefined && recorded.server !== server) {
    throw new BelayError({
      code: 'mismatch',
      message: `${directory} was made by Temporal server ${recorded.server}; this Belay has ${server}`,
      hint: 'Its SQLite file is not migrated between versions. Use the Belay that made it, or another data directory.',
    })
  }
  if (recorded !== undefined && (await isFree(recorded.port))) return { port: recorded.port }
  const port = await findFreePort()
  writeFileDurably(file, JSON.stringify({ server, port }))
  return { port }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}
