import { spawnProcess } from '../../process/spawn.ts'
import type { Io } from '../io.ts'

/** Branch and commit that the repository here stands at; undefined outside of one, or before its first commit. */
export async function findGitHead(io: Io): Promise<{ branch: string; sha: string } | undefined> {
  const sha = await git(io, ['rev-parse', '--verify', 'HEAD'])
  const branch = await git(io, ['symbolic-ref', '--short', 'HEAD'])
  return sha === undefined ? undefined : { sha, branch: branch ?? 'main' }
}

async function git(io: Io, args: string[]): Promise<string | undefined> {
  const chunks: Buffer[] = []
  const env = { PATH: io.env['PATH'] ?? '/usr/bin:/bin', HOME: io.env['HOME'] ?? '/' }
  const spawned = await spawnProcess({ file: 'git', args, cwd: io.cwd, env, output: (chunk) => void chunks.push(chunk) })
  const exit = await spawned.done
  return exit.exitCode === 0 ? Buffer.concat(chunks).toString('utf8').trim() : undefined
}
