/** Is there room for what a new run will write? */
import { statfs } from 'node:fs/promises'
import { defaults } from '../domain/defaults.ts'

export interface Disk {
  /** Why no new run may begin, for people; undefined: it may. Looks at most once a second, and never throws. */
  findObstacle(): Promise<string | undefined>
}

export interface Room {
  freeBytes: number
  totalBytes: number
}

const lookEveryMs = 1_000

/** Of the file system that holds this directory. */
export function createDisk(directory: string): Disk {
  let obstacle: string | undefined
  let lookedAt = -Infinity

  async function look(): Promise<void> {
    // What cannot be looked at is told by whoever writes there.
    const found = await statfs(directory).catch(() => undefined)
    if (found === undefined) return
    const room = { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize }
    obstacle = isLow(room, obstacle !== undefined) ? describe(room) : undefined
  }

  return {
    async findObstacle() {
      if (performance.now() - lookedAt >= lookEveryMs) {
        lookedAt = performance.now()
        await look()
      }
      return obstacle
    },
  }
}

/** Once low it stays so until there is room to spare: runs must not begin and wait by turns. */
export function isLow({ freeBytes, totalBytes }: Room, wasLow: boolean): boolean {
  const { bytes, share } = wasLow ? defaults.disk.enough : defaults.disk.low
  return freeBytes < bytes || freeBytes < share * totalBytes
}

function describe({ freeBytes, totalBytes }: Room): string {
  const gb = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GB`
  return `disk low: ${gb(freeBytes)} of ${gb(totalBytes)} free; it begins when there is room`
}
