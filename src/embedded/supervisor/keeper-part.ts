/** The keeper outlives us: it owns the applications and the edge. We start it, or adopt the one that is there. */
import { closeSync } from 'node:fs'
import { request } from 'node:http'
import { BelayError } from '../../domain/errors.ts'
import { isAlive, signalGroup, type ProcessIdentity } from '../../process/identity.ts'
import { spawnProcess, stopGroup } from '../../process/spawn.ts'
import { describeExit } from './child-part.ts'
import type { Part, RunningPart } from './part.ts'
import { partFiles } from './part-files.ts'

export interface KeeperPartOptions {
  file: string
  args: readonly string[]
  cwd: string
  env: Record<string, string>
  /** Where it answers. */
  socket: string
  parts: string
  readyTimeoutMs: number
  /** Its applications are drained and stopped within this time. */
  stopGraceMs: number
}

/** How often we look whether it is still there. */
const watchMs = 200

export function keeperPart(options: KeeperPartOptions): Part {
  const files = partFiles(options.parts, 'keeper')

  async function waitUntilReady(identity: ProcessIdentity, signal: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + options.readyTimeoutMs
    while (isAlive(identity) && !signal.aborted && performance.now() < deadline) {
      if (await answers(options.socket)) return true
      await pause(25)
    }
    return false
  }

  function watched(identity: ProcessIdentity, how: string, exited: Promise<string> = new Promise(() => undefined)): RunningPart {
    let over = false
    const seenGone = (async () => {
      while (!over && isAlive(identity)) await pause(watchMs)
      return 'gone'
    })()
    return {
      pid: identity.pid,
      detail: how,
      // Of our own child the system tells us at once; an adopted one has to be looked at.
      ended: Promise.race([exited, seenGone]),
      async stop() {
        await stopGroup(identity, options.stopGraceMs)
        over = true
        files.forget()
      },
      kill: () => void signalGroup(identity, 'SIGKILL'),
    }
  }

  return {
    name: 'keeper',
    async start(signal) {
      const found = files.findRecorded()
      if (found !== undefined) {
        if (await waitUntilReady(found, signal)) return watched(found, 'adopted, with its applications')
        // It is there and does not answer: it hangs. Its applications survive this.
        signalGroup(found, 'SIGKILL')
        await stopGroup(found, 0)
      }
      const output = files.openLog()
      const spawned = await spawnProcess({ ...options, output, outlive: true }).finally(() => {
        closeSync(output)
      })
      files.record(spawned.identity)
      if (await waitUntilReady(spawned.identity, signal)) {
        return watched(spawned.identity, 'owns the edge and the applications', spawned.done.then(describeExit))
      }
      await spawned.stop(options.stopGraceMs)
      files.forget()
      throw new BelayError({
        code: 'unavailable',
        message: 'keeper did not come up',
        hint: `Its log ${files.log} ends:\n${files.tail()}`,
        retryable: true,
      })
    },
  }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: socket, path: '/healthz', timeout: 1000, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.once('timeout', () => asked.destroy())
    // Not there yet, or not any more.
    asked.once('error', () => {
      resolve(false)
    })
    asked.end()
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
