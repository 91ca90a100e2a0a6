/**
 * One bare repository per URL, so that a commit is fetched from the forge once. A commit that is here has a ref of its
 * own, `refs/belay/<sha>`: written by Git after everything the commit needs is on disk.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { Sha } from '../../domain/trigger.ts'
import { createExclusive } from './exclusive.ts'
import { createGit, killLeftoverGit, type Git } from './git-command.ts'
import { checkRepositoryUrl, hideCredentials, showUrl } from './repository-url.ts'

export interface MirroredCommit {
  /** Absolute path of the bare repository that holds it. */
  directory: string
  /** The ref that names it there. */
  ref: string
  sha: string
}

export interface Mirrors {
  readonly git: Git
  /**
   * Makes sure that exactly this commit is here, with its history. Throws `refused` (the repository does not have it, or
   * the URL is none), `unavailable` (retryable: the repository cannot be reached, or the signal fired).
   */
  ensureCommit(input: { url: string; sha: string; signal: AbortSignal }): Promise<MirroredCommit>
  /** Throws the copy away that a commit could not be read from; the next call fetches a new one. */
  discard(commit: MirroredCommit, signal: AbortSignal): Promise<void>
  /** Removes mirrors that no commit was asked of since then (ms since 1970); how many. They are copies: the next run fetches anew. */
  sweep(unusedSince: number, signal: AbortSignal): Promise<number>
}

const asideSuffix = '.removing'

/** `directory`: absolute path. The caller is the only one on this machine that uses it. */
export function createMirrors(directory: string): Mirrors {
  const git = createGit(join(directory, 'home'))
  const exclusive = createExclusive()
  const cleaned = new Set<string>()

  async function prepare(mirror: string, sha: string, signal: AbortSignal): Promise<void> {
    if (!cleaned.has(mirror)) await removeLeftovers(mirror)
    cleaned.add(mirror)
    if (existsSync(join(mirror, 'HEAD'))) return
    await rm(mirror, { recursive: true, force: true })
    await mkdir(mirror, { recursive: true, mode: 0o700 })
    const format = sha.length === 64 ? 'sha256' : 'sha1'
    expectOk(await git({ args: ['init', '-q', '--bare', `--object-format=${format}`], cwd: mirror, signal }))
  }

  /** `broken`: the repository answers, and our copy cannot take in what it gives. */
  async function fetchCommit(request: FetchRequest): Promise<'here' | 'broken'> {
    const { mirror, url, sha, signal } = request
    await prepare(mirror, sha, signal)
    if (await fetchByName(git, request, `+${sha}:${refOf(sha)}`)) return 'here'
    // Some servers give out only what a branch points to; what the branches hold is fetched, and the commit looked for.
    if (await fetchByName(git, request, '+refs/heads/*:refs/belay-heads/*')) {
      await keepFetched(git, request)
      return 'here'
    }
    const asked = await git({ args: ['ls-remote', '-q', '--', url, 'HEAD'], cwd: mirror, signal, tag: mirror })
    if (!asked.ok) throw unreachable(url, asked.output)
    return 'broken'
  }

  return {
    git,
    async ensureCommit({ url, sha, signal }) {
      checkRepositoryUrl(url)
      checkSha(sha)
      const mirror = join(directory, nameOf(url, sha))
      const request = { mirror, url, sha, signal }
      const commit = { directory: mirror, ref: refOf(sha), sha }
      await exclusive(mirror, signal, async () => {
        await prepare(mirror, sha, signal)
        // Its age counts from its last use.
        await utimes(join(mirror, 'HEAD'), new Date(), new Date())
        if (await hasCommit(git, request)) return
        if ((await fetchCommit(request)) === 'here') {
          await expectCommit(git, request)
          await repackIfMany(git, request)
          return
        }
        // It is only a copy: a new one costs a fetch.
        await rm(mirror, { recursive: true, force: true })
        if ((await fetchCommit(request)) === 'here') return expectCommit(git, request)
        throw unreachable(url, Buffer.from('git cannot store what the repository sends'))
      })
      return commit
    },
    discard: (commit, signal) =>
      exclusive(commit.directory, signal, () => rm(commit.directory, { recursive: true, force: true })),
    async sweep(unusedSince, signal) {
      let removed = 0
      for (const name of await readdir(directory).catch((): string[] => [])) {
        // Moved aside first: half a mirror must not be found under its name.
        if (name.endsWith(asideSuffix)) await rm(join(directory, name), { recursive: true, force: true })
        if (!name.endsWith('.git')) continue
        const mirror = join(directory, name)
        const isRemoved = await exclusive(mirror, signal, async () => {
          if ((await lastUsed(mirror)) >= unusedSince) return false
          await rename(mirror, `${mirror}${asideSuffix}`)
          await rm(`${mirror}${asideSuffix}`, { recursive: true, force: true })
          return true
        })
        if (isRemoved) removed += 1
      }
      return removed
    },
  }
}

/** One without a HEAD was not finished when its runner died: as old as its directory. */
async function lastUsed(mirror: string): Promise<number> {
  const found = await stat(join(mirror, 'HEAD')).catch(() => stat(mirror))
  return found.mtimeMs
}

interface FetchRequest {
  mirror: string
  url: string
  sha: string
  signal: AbortSignal
}

function refOf(sha: string): string {
  return `refs/belay/${sha}`
}

function nameOf(url: string, sha: string): string {
  return `${createHash('sha256')
    .update(`${String(sha.length)} ${url}`)
    .digest('hex')
    .slice(0, 32)}.git`
}

function checkSha(sha: string): void {
  if (!Sha.safeParse(sha).success) throw new BelayError({ code: 'refused', message: 'not a full commit id' })
}

/** Is it here, and is it a commit and not something that points to one? */
async function hasCommit(git: Git, { mirror, sha, signal }: FetchRequest): Promise<boolean> {
  const found = await git({ args: ['cat-file', '-t', refOf(sha)], cwd: mirror, signal })
  if (!found.ok) return false
  if (found.output.toString('latin1').trim() === 'commit') return true
  throw new BelayError({ code: 'refused', message: `${sha} is not a commit`, hint: 'A tag is run by the commit it points to.' })
}

async function fetchByName(git: Git, { mirror, url, signal }: FetchRequest, refspec: string): Promise<boolean> {
  const flags = [
    '-q',
    '--no-tags',
    '--no-write-fetch-head',
    '--no-auto-maintenance',
    ...(refspec.includes('*') ? ['--prune'] : []),
  ]
  return (await git({ args: ['fetch', ...flags, '--', url, refspec], cwd: mirror, signal, tag: mirror })).ok
}

async function keepFetched(git: Git, request: FetchRequest): Promise<void> {
  const { mirror, url, sha, signal } = request
  const found = await git({ args: ['cat-file', '-e', sha], cwd: mirror, signal })
  if (!found.ok) {
    throw new BelayError({
      code: 'refused',
      message: `${showUrl(url)} has no commit ${sha}`,
      hint: 'Was its branch force-pushed or deleted since? Push again to run what is there now.',
    })
  }
  expectOk(await git({ args: ['update-ref', refOf(sha), sha], cwd: mirror, signal }))
}

async function expectCommit(git: Git, request: FetchRequest): Promise<void> {
  if (await hasCommit(git, request)) return
  throw new BelayError({ code: 'mismatch', message: `fetched commit ${request.sha}, and it is not there` })
}

const packsLimit = 50

/** Every fetch leaves a pack, and Git looks into each; readers that are at it find the new one by themselves. */
async function repackIfMany(git: Git, { mirror, signal }: FetchRequest): Promise<void> {
  const packs = (await readdir(join(mirror, 'objects/pack'))).filter((name) => name.endsWith('.pack'))
  if (packs.length < packsLimit) return
  // Should it fail, the mirror is only slower.
  await git({ args: ['repack', '-d', '-q', '--geometric=2'], cwd: mirror, signal, tag: mirror })
}

function unreachable(url: string, output: Buffer): BelayError {
  const said = hideCredentials(output.toString('utf8'), url).trim().slice(-500)
  return new BelayError({
    code: 'unavailable',
    message: `cannot fetch from ${showUrl(url)}${said === '' ? '' : `: ${said}`}`,
    hint: 'Is the repository reachable from this machine, and may this machine read it?',
    retryable: true,
  })
}

export function expectOk(result: { ok: boolean; output: Buffer }): void {
  if (result.ok) return
  const said = result.output.toString('utf8').trim().slice(-500)
  throw new BelayError({ code: 'internal', message: `git failed on this machine: ${said}`, retryable: true })
}

/** What a killed runner left in a mirror: a Git that still runs, its locks, and packs it had begun. */
async function removeLeftovers(mirror: string): Promise<void> {
  await killLeftoverGit(mirror)
  const paths = await readdir(mirror, { recursive: true }).catch((): string[] => [])
  const leftovers = paths.filter((path) => /\.lock$|(?:^|\/)tmp_(?:pack|idx|rev|obj|objdir)/.test(path))
  for (const path of leftovers) await rm(join(mirror, path), { recursive: true, force: true })
}
