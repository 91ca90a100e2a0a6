import { createHash } from 'node:crypto'
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { BelayError } from '../../../domain/errors.ts'

/** The kernel takes 107 bytes, and HAProxy binds a longer temporary name first (`.PID.tmp`). */
const longestPath = 90
const answerLimit = 1024 * 1024

/** In the edge's directory; where that path is too long or holds what a configuration cannot, in a temporary one of ours. */
export function runtimeSocket(directory: string, name: string): string {
  const usable = (path: string): boolean => path.length <= longestPath && /^\/[a-zA-Z0-9._/-]+$/.test(path)
  const inside = `${directory}/${name}`
  if (usable(inside)) return inside
  const short = `belay-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}/${name}`
  const path = `${tmpdir()}/${short}`
  return usable(path) ? path : `/tmp/${short}`
}

/** With its directory, if that was made for it alone. */
export function removeSocket(socket: string): void {
  rmSync(socket, { force: true })
  const directory = dirname(socket)
  if (existsSync(directory) && readdirSync(directory).length === 0) rmdirSync(directory)
}

/** Says one line, and gives the whole answer. Throws `unavailable`, retryable. */
export function ask(socket: string, line: string, limitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const connection = connect(socket, () => connection.write(`${line}\n`))
    const fail = (why: string): void => {
      clearTimeout(timer)
      connection.destroy()
      reject(new BelayError({ code: 'unavailable', message: `HAProxy cannot be asked: ${why}`, retryable: true }))
    }
    const timer = setTimeout(() => {
      fail('no answer in time')
    }, limitMs)
    connection.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > answerLimit) fail('its answer is too long')
      else chunks.push(chunk)
    })
    connection.once('error', (error) => {
      fail(error.message)
    })
    connection.once('end', () => {
      clearTimeout(timer)
      connection.destroy()
      resolve(Buffer.concat(chunks).toString('utf8'))
    })
  })
}
