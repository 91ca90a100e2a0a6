/** A bare repository and the working copy that tests commit from. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** A file's content; `null` removes it; the objects make an executable file and a symlink. */
export type CommittedFile = string | Buffer | null | { executable: string } | { link: string }

export interface GitRepository {
  readonly url: string
  /** The bare repository. */
  readonly bare: string
  /** The working copy. */
  readonly work: string
  /** Commits the files on top of the branch (`main` unless said; a new one begins where the last commit was made) and pushes it. Gives the commit's id. */
  commit(input: { files: Record<string, CommittedFile>; message: string; branch?: string; author?: string }): Promise<string>
  /** Makes the branch point to that commit, whatever it held before. */
  forcePush(branch: string, sha: string): Promise<void>
  deleteBranch(branch: string): Promise<void>
  /** Runs Git in the working copy; gives what it printed, trimmed. */
  git(...args: string[]): Promise<string>
}

export async function createGitRepository(places: { url: string; bare: string; work: string }): Promise<GitRepository> {
  const { url, bare, work } = places
  const git = (...args: string[]): Promise<string> => runGit(work, args)
  await mkdir(work, { recursive: true })
  await git('init', '-q', '--initial-branch=main')
  await git('remote', 'add', 'origin', bare)

  return {
    url,
    bare,
    work,
    git,
    async commit({ files, message, branch = 'main', author = 'Ana Example <ana@example.org>' }) {
      await switchTo(git, branch)
      for (const [path, file] of Object.entries(files)) await put(join(work, path), file)
      await git('add', '--all')
      await git('commit', '-q', '--allow-empty', `--author=${author}`, '-m', message)
      await git('push', '-q', 'origin', `HEAD:refs/heads/${branch}`)
      return git('rev-parse', 'HEAD')
    },
    async forcePush(branch, sha) {
      await git('push', '-q', '--force', 'origin', `${sha}:refs/heads/${branch}`)
    },
    async deleteBranch(branch) {
      await git('push', '-q', 'origin', `:refs/heads/${branch}`)
    },
  }
}

/** Runs Git with nothing of this machine's configuration. */
export async function runGit(cwd: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('git', args, { cwd, env: gitEnvironment(), maxBuffer: 64 * 1024 * 1024 })
  return stdout.trim()
}

export function gitEnvironment(): Record<string, string> {
  const settings = {
    'user.name': 'Belay tests',
    'user.email': 'tests@example.org',
    'safe.directory': '*',
    'gc.auto': '0',
    'core.hooksPath': '/dev/null',
  }
  const pairs = Object.entries(settings).flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${String(index)}`, key],
    [`GIT_CONFIG_VALUE_${String(index)}`, value],
  ])
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: String(Object.keys(settings).length),
    ...(Object.fromEntries(pairs) as Record<string, string>),
  }
}

/** By the branch's full name, so that one called like an option or a commit is a branch all the same. */
async function switchTo(git: GitRepository['git'], branch: string): Promise<void> {
  const ref = `refs/heads/${branch}`
  if ((await git('symbolic-ref', 'HEAD')) === ref) return
  const known = await git('for-each-ref', '--format=%(objectname)', ref)
  if (known === '') await git('update-ref', ref, 'HEAD')
  await git('symbolic-ref', 'HEAD', ref)
  await git('reset', '-q', '--hard')
}

async function put(path: string, file: CommittedFile): Promise<void> {
  await rm(path, { recursive: true, force: true })
  if (file === null) return
  await mkdir(dirname(path), { recursive: true })
  if (typeof file === 'string' || Buffer.isBuffer(file)) return writeFile(path, file)
  if ('link' in file) return symlink(file.link, path)
  await writeFile(path, file.executable)
  await chmod(path, 0o755)
}
