import { closeSync } from 'node:fs'
import { signalGroup } from '../../process/identity.ts'
import { startTemporal } from '../temporal/start-temporal.ts'
import { describeExit } from './child-part.ts'
import type { Part } from './part.ts'
import { partFiles } from './part-files.ts'

/** The embedded Temporal development server, always at the same port. */
export function temporalPart(options: { program: string; directory: string; port: number; parts: string }): Part {
  const files = partFiles(options.parts, 'temporal')
  return {
    name: 'temporal',
    async start(signal) {
      files.forget()
      const { program, directory, port } = options
      // Moves a log that has grown large aside; the server appends to the new one.
      closeSync(files.openLog())
      const server = await startTemporal({
        program,
        directory,
        port,
        log: files.log,
        signal,
        started: (identity) => files.record(identity),
      })
      const ended = server.done.then((exit) => {
        files.forget()
        return describeExit(exit)
      })
      return {
        pid: server.identity.pid,
        detail: server.address,
        ended,
        stop: () => server.stop(),
        kill: () => void signalGroup(server.identity, 'SIGKILL'),
      }
    },
  }
}
