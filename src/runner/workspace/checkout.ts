/** A working copy of exactly one commit, with a repository of its own: it shares no file with the mirror. */
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import type { Git } from './git-command.ts'
import { expectOk, type MirroredCommit } from './mirror.ts'
import { showUrl } from './repository-url.ts'

export interface CheckoutInput {
  git: Git
  commit: MirroredCommit
  /** Shown as `origin`, without credentials. */
  url: string
  /** Absolute path; must not exist. */
  directory: string
  signal: AbortSignal
}

/** Makes the directory (0700) and checks the commit out, detached. Throws `mismatch` if what is there is not that commit. */
export async function checkOut(input: CheckoutInput): Promise<void> {
  const { commit, directory, signal } = input
  const git = (...args: string[]): ReturnType<Git> => input.git({ args, cwd: directory, signal, tag: directory })
  await mkdir(directory, { mode: 0o700 })
  expectOk(await git('init', '-q', '--template=', `--object-format=${commit.sha.length === 64 ? 'sha256' : 'sha1'}`))
  await appendFile(join(directory, '.git/config'), remoteSection(showUrl(input.url)))
  expectOk(await git('fetch', '-q', '--no-tags', '--no-write-fetch-head', '--', commit.directory, commit.ref))
  expectOk(await git('checkout', '-q', '--force', '--detach', commit.sha, '--'))
  // What `git rev-parse HEAD` reads of a detached HEAD, without the process.
  const head = await readFile(join(directory, '.git/HEAD'), 'latin1')
  if (head.trim() === commit.sha) return
  throw new BelayError({ code: 'mismatch', message: `asked for commit ${commit.sha}, and HEAD is another` })
}

function remoteSection(url: string): string {
  return `[remote "origin"]\n\turl = "${url.replaceAll(/["\\]/g, '\\$&')}"\n`
}
