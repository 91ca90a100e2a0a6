import { CancellationScope, isCancellation } from '@temporalio/workflow'
import type { PipelineFile, WorkspaceRef } from '../contract/activities.ts'
import type { RunInput, WorkspacePlace } from '../contract/run-workflow.ts'
import type { LostWorkspace } from '../domain/lost-workspace.ts'
import type { Artifact, Checkpoint } from '../domain/step.ts'
import { bookkeeping, inline, openings, tidyingOn } from './activities.ts'
import { askAfterRunner } from './ask-after-runner.ts'
import type { News } from './news.ts'
import { createSilence } from './silence.ts'

/** The run's workspace: a directory on a runner, given out by this workflow under a rising epoch. */
export interface Workspace {
  /** Opened at first use; several callers at once share one opening. */
  hold(): Promise<HeldWorkspace>
  /** After work under `epoch` was cut short: the same directory under the next epoch. Once per epoch, whoever asks. */
  renew(epoch: number): void
  /** The directory is lost: the next `hold` opens another. */
  forget(epoch: number): void
  /**
   * Work under `epoch` was cut short (`silent`) or not taken, and nothing is heard: waits until the runner is back, and renews,
   * or until another one can have the work, and forgets. One decision per epoch, whoever asks.
   */
  reconsider(epoch: number, why: 'silent' | 'not_started'): Promise<'there' | 'elsewhere'>
  /** Has work done there. While it goes on, its heartbeats say that the runner is there. */
  during<T>(work: () => Promise<T>): Promise<T>
  /** What `hold` must lay into a fresh directory. */
  lay(step: string, artifacts: readonly Artifact[]): void
  /** What it starts a fresh directory from: the newest of these. */
  keep(checkpoint: Checkpoint): void
  /** The next `hold` opens another. */
  close(): Promise<void>
  place(): WorkspacePlace
}

export interface HeldWorkspace {
  runner: string
  ref: WorkspaceRef
  files: PipelineFile[]
}

export interface WorkspaceOptions {
  /** Another runner takes over from one that is gone, and who holds the workspace is noted. False: a run begun before that. */
  movesOn?: boolean
  /** What another workflow had given out; if it lies somewhere, it goes on there under the next epoch. */
  earlier?: WorkspacePlace
  /** The highest epoch whose holder somebody else notes. */
  noted?: number
  /** Called when a workspace took the place of one that is lost, with what was done in it. */
  replaced?(lost: LostWorkspace): void
}

/** Silence of this length between two pieces of work: the runner is asked after before it gets the next. */
const longSilenceMs = 10_000

type Opened = Omit<HeldWorkspace, 'ref'>
type Where = 'there' | 'elsewhere'

export function createWorkspace(input: RunInput, news: News, options: WorkspaceOptions = {}): Workspace {
  const { run, repository } = input
  const { movesOn = true, replaced, earlier = { epoch: 0 } } = options
  const artifacts: { step: string; artifact: Artifact }[] = []
  let checkpoint: Checkpoint | undefined
  let { epoch, runner } = earlier
  let noted = options.noted ?? 0
  /** The epoch under which the directory was made, and the newest one that was lost. */
  let since = earlier.since ?? epoch
  let lostEpoch = 0
  const silence = createSilence(longSilenceMs)
  let underWay = 0
  let opening: Promise<Opened> | undefined
  /** Whose the workspace was that the next one replaces. */
  let before: { runner: string; since: number } | undefined
  const decisions = new Map<string, Promise<Where>>()
  if (runner !== undefined) {
    epoch += 1
    opening = Promise.resolve({ runner, files: [] })
  }

  async function open(): Promise<Opened> {
    epoch += 1
    const mine = epoch
    const from = checkpoint?.steps ?? []
    const opened = await openings.openWorkspace({
      workspace: { runId: run.id, epoch },
      repository,
      sha: run.trigger.sha,
      ...whatToLay(),
      ...(before === undefined ? {} : { before }),
    })
    runner = opened.runner
    silence.heard()
    news.tell({ type: 'workspace', runner: opened.runner, epoch, status: 'opened' })
    if (opened.resumed !== true) {
      since = mine
      if (before !== undefined) await replace(before.runner, mine, opened.restored === true ? from : [])
      // The rounds before count on it.
      else if (from.length > 0 && opened.restored !== true) replaced?.({ runner: opened.runner, epoch: mine, kept: [] })
    }
    before = undefined
    return opened
  }

  /** What steps of the checkpoint left is in there, as later ones may have changed it. */
  function whatToLay() {
    if (checkpoint === undefined) return { artifacts: artifacts.map(({ artifact }) => artifact) }
    const { digest, steps } = checkpoint
    const [inside, outside] = [true, false].map((isIn) =>
      artifacts.flatMap(({ step, artifact }) => (steps.includes(step) === isIn ? artifact : [])),
    ) as [Artifact[], Artifact[]]
    return { artifacts: outside, checkpoint: { digest, artifacts: inside } }
  }

  async function replace(lost: string, under: number, kept: readonly string[]): Promise<void> {
    replaced?.({ runner: lost, epoch: under, kept })
    try {
      // Before the next log of the same attempt begins.
      await bookkeeping.cutLogs({ runId: run.id, epoch: under, runner: lost })
    } catch (error) {
      if (isCancellation(error)) throw error
      // Refused for good: the logs end without a word.
    }
  }

  /** Nothing is sent there before it is noted; meanwhile the workspace may be given out again. */
  async function holdNoted(): Promise<HeldWorkspace> {
    for (;;) {
      const from = (opening ??= open())
      const held = await from.catch((error: unknown) => {
        if (opening === from) opening = undefined
        throw error
      })
      const mine = epoch
      const isQuiet = underWay === 0 && silence.isLong()
      if (isQuiet && (await reconsider(mine, 'not_started')) === 'elsewhere') continue
      if (noted < mine) await inline.noteHolder({ runId: run.id, epoch: mine, runner: held.runner })
      noted = Math.max(noted, mine)
      if (opening === from && epoch === mine) return { ...held, ref: { runId: run.id, epoch } }
    }
  }

  function forget(lost: number): void {
    if (lost !== epoch || (movesOn && opening === undefined)) return
    const whose = runner ?? 'unknown'
    news.tell({ type: 'workspace', runner: whose, epoch, status: 'lost' })
    opening = undefined
    lostEpoch = lost
    if (movesOn) before = { runner: whose, since }
  }

  function reconsider(cut: number, why: 'silent' | 'not_started'): Promise<Where> {
    if (cut <= lostEpoch) return Promise.resolve('elsewhere')
    // Somebody renewed it.
    if (cut !== epoch || runner === undefined) return Promise.resolve('there')
    const key = `${String(cut)} ${why}`
    const decided = decisions.get(key) ?? decide(runner, cut, why).finally(() => decisions.delete(key))
    decisions.set(key, decided)
    return decided
  }

  async function decide(name: string, cut: number, why: 'silent' | 'not_started'): Promise<Where> {
    const waiting = () =>
      news.tell({ type: 'waiting', for: `runner "${name}" (nothing is heard of it, and no other one is there)` })
    const where = await askAfterRunner({ runner: name, wasSilent: why === 'silent', waiting })
    silence.heard()
    if (where === 'elsewhere') forget(cut)
    else if (why === 'silent') renew(cut)
    return cut <= lostEpoch ? 'elsewhere' : where
  }

  function renew(cut: number): void {
    if (cut === epoch) epoch += 1
  }

  return {
    async hold() {
      if (movesOn) return await holdNoted()
      opening ??= open()
      try {
        const held = await opening
        return { ...held, ref: { runId: run.id, epoch } }
      } catch (error) {
        opening = undefined
        throw error
      }
    },
    async during(work) {
      underWay += 1
      silence.busy(true)
      try {
        const done = await work()
        silence.heard()
        return done
      } finally {
        underWay -= 1
        if (underWay === 0) silence.busy(false)
      }
    },
    renew,
    forget,
    reconsider,
    lay(step, more) {
      artifacts.push(...more.map((artifact) => ({ step, artifact })))
    },
    place: () => ({ epoch, ...(runner === undefined ? {} : { runner, since }) }),
    keep(newest) {
      checkpoint = newest
    },
    async close() {
      const last = runner
      if (last === undefined) return
      opening = undefined
      runner = undefined
      silence.end()
      try {
        await CancellationScope.nonCancellable(() => tidyingOn(last).closeWorkspace({ runId: run.id }))
        news.tell({ type: 'workspace', runner: last, epoch, status: 'closed' })
      } catch {
        // Not now: the runner itself sweeps the directories of ended runs.
      }
    },
  }
}
