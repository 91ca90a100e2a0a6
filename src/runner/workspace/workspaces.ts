/** A runner's workspaces: directories that the workflow gives out under a rising epoch. */
import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenWorkspaceInput, PipelineFile, WorkspaceRef } from '../../contract/activities.ts'
import { BelayError, messageOf } from '../../domain/errors.ts'
import type { Artifact } from '../../domain/step.ts'
import { layCheckpoint } from '../checkpoint/lay-checkpoint.ts'
import { checkOut } from './checkout.ts'
import { collectArtifacts } from './collect-artifacts.ts'
import { createExclusive } from './exclusive.ts'
import { killLeftoverGit } from './git-command.ts'
import { layArtifacts } from './lay-artifacts.ts'
import { findLease, refuseStale, writeLease, type Lease } from './lease.ts'
import { createMirrors, type MirroredCommit } from './mirror.ts'
import { giveTree, moveAside, removeTree } from './ownership.ts'
import { readPipelineFiles } from './pipeline-files.ts'

export interface Workspaces {
  /**
   * Prepares the directory of (run, epoch), fetches exactly the commit, lays artifacts into it, and reads the pipeline
   * files from the commit. Called again for the same (run, epoch): the same directory, as it is; for a higher epoch: a
   * fresh one, unless it was made under `keepSince` or later (`resumed`: as it is, then, too). A checkpoint is laid into a
   * fresh one (`restored`), unless it is not there or not whole. Throws `stale` (lower epoch), `refused` (no such commit, bad URL), `unavailable` (retryable: the forge
   * cannot be reached, or the signal aborted), `mismatch`, `too_large` (pipeline files).
   */
  open(input: OpenWorkspaceInput, ctx: OpenContext): Promise<{ files: PipelineFile[]; resumed: boolean; restored: boolean }>
  /** Checks and takes the lease: a higher epoch takes the directory over, durably. Throws `stale`, `not_found`. */
  lease(ref: WorkspaceRef): Promise<WorkspaceDirs>
  /** What the globs match in the checkout, hashed, sorted by path. Throws `refused` (`..`, a symlink out). */
  collectArtifacts(dirs: WorkspaceDirs, spec: ArtifactSpec): Promise<Artifact[]>
  /** The epoch under which the run's directory was last given out; undefined if there is none. */
  findEpoch(runId: string): number | undefined
  /** Twice: nothing to do. A directory that was given out under a later epoch than `upTo` stays. Throws `unavailable`. */
  remove(runId: string, upTo?: number): Promise<void>
  /** Ids of the runs that have a directory. */
  list(): Promise<string[]>
  /** Removes the copies of repositories that nothing was opened from since then (ms since 1970); how many. */
  sweepMirrors(unusedSince: number): Promise<number>
}

export interface OpenContext {
  signal: AbortSignal
  keepSince?: number | undefined
}

/** Absolute paths, owned by the step user. */
export interface WorkspaceDirs {
  /** The epoch under which the directory was made. */
  made: number

  root: string
  checkout: string
  home: string
  tmp: string
  output: string
}

/** Globs relative to the checkout. */
export interface ArtifactSpec {
  paths: string[]
  exclude: string[]
}

/** Whom the steps run as; absent: as ourselves. */
export interface StepUser {
  uid: number
  gid: number
}

export interface WorkspacesOptions {
  /** Absolute path: one directory per run below it. */
  workspaces: string
  /** Absolute path: one bare repository per URL below it. */
  mirrors: string
  user?: StepUser | undefined
  /** The bytes of an artifact, by digest. */
  fetchArtifact(digest: string): Promise<AsyncIterable<Uint8Array>>
  /** Told of a checkpoint that could not be laid. */
  warn?(details: object, message: string): void
}

/** `<workspaces>/<run id>/{lease.json,checkout,home,tmp,output}`; with a step user, only the last four are that user's. */
export function createWorkspaces(options: WorkspacesOptions): Workspaces {
  const { workspaces, user } = options
  const mirrors = createMirrors(options.mirrors)
  const exclusive = createExclusive()
  mkdirSync(workspaces, { recursive: true, mode: modeOfParents(user) })
  chmodSync(workspaces, modeOfParents(user))

  async function prepare(input: OpenWorkspaceInput, commit: MirroredCommit, signal: AbortSignal): Promise<void> {
    const { workspace, repository, sha, artifacts } = input
    const dirs = dirsOf(workspaces, workspace.runId)
    const before = findLease(dirs.root)
    refuseStale(before, workspace.epoch)
    if (before?.state === 'opening') await killLeftoverGit(dirs.checkout)
    // The lease comes first: from here on the epochs before are refused, and a kill leaves `opening`, which is no workspace.
    await mkdir(dirs.root, { recursive: true })
    await chmod(dirs.root, modeOfParents(user))
    const lease = { epoch: workspace.epoch, made: workspace.epoch, sha }
    writeLease(dirs.root, { ...lease, state: 'opening' })
    const fetch = async () => {
      for (const part of parts) await removeTree(dirs[part], [''])
      await checkOut({ git: mirrors.git, commit, url: repository.url, directory: dirs.checkout, signal })
    }
    await fetch()
    const restored = input.checkpoint !== undefined && (await restore(dirs.root, input.checkpoint, signal))
    // Half of one may be there.
    if (input.checkpoint !== undefined && !restored) await fetch()
    const missing = restored ? [] : (input.checkpoint?.artifacts ?? [])
    await layArtifacts({
      checkout: dirs.checkout,
      artifacts: [...missing, ...artifacts],
      fetchArtifact: options.fetchArtifact,
      signal,
    })
    for (const part of parts) {
      await mkdir(dirs[part], { recursive: true, mode: 0o700 })
      if (user !== undefined) await giveTree(dirs[part], user)
    }
    refuseStale(findLease(dirs.root), workspace.epoch)
    writeLease(dirs.root, { ...lease, state: 'open', ...(restored ? { checkpoint: input.checkpoint?.digest } : {}) })
  }

  /** False: it cannot be had, now or ever; the run goes on without it. */
  async function restore(root: string, { digest }: { digest: string }, signal: AbortSignal): Promise<boolean> {
    try {
      await layCheckpoint({ root, digest, bytes: await options.fetchArtifact(digest), signal })
      return true
    } catch (error) {
      // The server is away, or we are told to stop: tried again, with the opening.
      if (signal.aborted || (error instanceof BelayError && error.retryable)) throw error
      options.warn?.({ digest, error: messageOf(error) }, 'a checkpoint cannot be laid')
      return false
    }
  }

  return {
    async open(input, { signal, keepSince }) {
      const { runId, epoch } = input.workspace
      const { root, checkout } = dirsOf(workspaces, runId)
      return exclusive(runId, signal, async () => {
        refuseStale(findLease(root), epoch)
        const commit = await mirrors.ensureCommit({ url: input.repository.url, sha: input.sha, signal })
        try {
          const files = await readPipelineFiles(mirrors.git, commit, signal)
          const lease = findLease(root)
          const resumed = keepSince !== undefined && isKept(lease, input, keepSince) && existsSync(checkout)
          if (resumed) writeLease(root, { ...lease, epoch })
          else if (!isOpen(lease, input)) await prepare(input, commit, signal)
          const restored = input.checkpoint !== undefined && findLease(root)?.checkpoint === input.checkpoint.digest
          return { files, resumed, restored }
        } catch (error) {
          // Git failed on our own copy: it may be damaged, and the next attempt shall not find it.
          if (error instanceof BelayError && error.code === 'internal') await mirrors.discard(commit, signal)
          throw error
        }
      })
    },

    async lease({ runId, epoch }) {
      const dirs = dirsOf(workspaces, runId)
      const lease = findLease(dirs.root)
      refuseStale(lease, epoch)
      if (lease?.state !== 'open' || !existsSync(dirs.checkout)) throw gone(runId)
      const made = lease.made ?? lease.epoch
      if (lease.epoch < epoch) writeLease(dirs.root, { ...lease, made, epoch })
      return { ...dirs, made }
    },

    collectArtifacts: (dirs, spec) => collectArtifacts(dirs.checkout, spec),

    findEpoch: (runId) => findLease(dirsOf(workspaces, runId).root)?.epoch,

    async remove(runId, upTo = Infinity) {
      const { root } = dirsOf(workspaces, runId)
      const aside = join(workspaces, `${asidePrefix}${runId}`)
      return exclusive(runId, new AbortController().signal, async () => {
        // A removal that was cut short left its rest there.
        await removeTree(aside, parts)
        if ((findLease(root)?.epoch ?? 0) > upTo) return
        await moveAside(root, aside)
        await removeTree(aside, parts)
      })
    },

    sweepMirrors: (unusedSince) => mirrors.sweep(unusedSince, new AbortController().signal),

    async list() {
      const names = (await readdir(workspaces)).map((name) => name.replace(asidePrefix, ''))
      return [...new Set(names.filter((name) => runIdPattern.test(name)))].sort()
    },
  }
}

const parts = ['checkout', 'home', 'tmp', 'output'] as const
const asidePrefix = '.removing-'
const runIdPattern = /^[0-9a-zA-Z][0-9a-zA-Z-]{0,63}$/

function dirsOf(workspaces: string, runId: string): Omit<WorkspaceDirs, 'made'> {
  if (!runIdPattern.test(runId)) throw new BelayError({ code: 'invalid_input', message: 'not the id of a run' })
  const root = join(workspaces, runId)
  return {
    root,
    checkout: join(root, 'checkout'),
    home: join(root, 'home'),
    tmp: join(root, 'tmp'),
    output: join(root, 'output'),
  }
}

/** The step user passes through on the way to its own directories, and sees nothing else. */
function modeOfParents(user: StepUser | undefined): number {
  return user === undefined ? 0o700 : 0o711
}

function isOpen(lease: Lease | undefined, { workspace, sha }: OpenWorkspaceInput): boolean {
  return lease?.state === 'open' && lease.epoch === workspace.epoch && lease.sha === sha
}

/** With all that was done in it since `keepSince`, and not made by this very opening. */
function isKept(lease: Lease | undefined, { workspace, sha }: OpenWorkspaceInput, keepSince: number): lease is Lease {
  if (lease?.state !== 'open' || lease.sha !== sha) return false
  const made = lease.made ?? lease.epoch
  return made >= keepSince && made < workspace.epoch
}

function gone(runId: string): BelayError {
  return new BelayError({ code: 'not_found', message: `there is no workspace of run ${runId} here` })
}
