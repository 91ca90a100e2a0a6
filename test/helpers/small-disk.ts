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
      const { blocks, bfree, bsize } = await statfs(root)
      await run('mount', ['-o', `remount,size=${String((blocks - bfree) * bsize + free)}`, root])
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
