/** A disk that really gets full: a file system in memory, of a size. */
import { chown, mkdir, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnProcess } from '../../src/process/spawn.ts'

export interface SmallDisk {
  /** An empty directory on it, the owner's. */
  readonly directory: string
  /** From now on so much is free, and no more. */
  leaveFree(bytes: number): Promise<void>
  remove(): Promise<void>
}

/** What is missing to have one; undefined: nothing. */
export function smallDiskMissing(): string | undefined {
  return process.getuid?.() === 0 && process.platform === 'linux' ? undefined : 'only root may mount a small disk'
}

const mostTries = 10

interface SmallDiskOptions {
  bytes: number
  owner: { uid: number; gid: number }
  /** An empty directory, which then is its place; default: a new one. */
  at?: string
}

export async function mountSmallDisk({ bytes, owner, at }: SmallDiskOptions): Promise<SmallDisk> {
  const root = at ?? (await mkdtemp(join(tmpdir(), 'belay-disk-')))
  await run('mount', ['-t', 'tmpfs', '-o', `size=${String(bytes)},mode=755`, 'tmpfs', root])
  const directory = at ?? join(root, 'data')
  if (at === undefined) await mkdir(directory, { mode: 0o700 })
  await chown(directory, owner.uid, owner.gid)
  return {
    directory,
    async leaveFree(free) {
      for (let tries = 1; ; tries += 1) {
        const { blocks, bfree, bsize } = await statfs(root)
        try {
          return await run('mount', ['-o', `remount,size=${String((blocks - bfree) * bsize + free)}`, root])
        } catch (error) {
          // Somebody wrote meanwhile, and now there is more on it than that.
          if (tries === mostTries) throw error
        }
      }
    },
    async remove() {
      // Where it was laid over a directory, whoever worked there may be a moment from gone.
      await run('umount', at === undefined ? [root] : ['-l', root])
      if (at === undefined) await rm(root, { recursive: true })
    },
  }
}

async function run(file: string, args: readonly string[]): Promise<void> {
  const output: Buffer[] = []
  const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' }
  const spawned = await spawnProcess({ file, args, cwd: '/', env, output: (chunk) => output.push(chunk) })
  const { exitCode } = await spawned.done
  if (exitCode !== 0) throw new Error(`${file} failed: ${Buffer.concat(output).toString('utf8')}`)
}
