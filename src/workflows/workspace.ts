import { CancellationScope } from '@temporalio/workflow'
import type { WorkspaceRef } from '../contract/activities.ts'
import type { PipelineFile } from '../contract/activities.ts'
import type { RunInput, WorkspacePlace } from '../contract/run-workflow.ts'
import type { Artifact } from '../domain/step.ts'
import { openings, tidyingOn } from './activities.ts'
import type { News } from './news.ts'

/** The run's workspace: a directory on a runner, given out by this workflow under a rising epoch. */
export interface Workspace {
  /** Opened at first use; several callers at once share one opening. */
  hold(): Promise<HeldWorkspace>
  /** After work under `epoch` was cut short: the same directory under the next epoch. Once per epoch, whoever asks. */
  renew(epoch: number): void
  /** The directory is lost: the next `hold` opens another. */
  forget(epoch: number): void
  /** What `hold` must lay into a fresh directory. */
  lay(artifacts: readonly Artifact[]): void
  /** The next `hold` opens another. */
  close(): Promise<void>
  place(): WorkspacePlace
}

export interface HeldWorkspace {
  runner: string
  ref: WorkspaceRef
  files: PipelineFile[]
}

/** `earlier`: what another workflow had given out; if it lies somewhere, it goes on there under the next epoch. */
export function createWorkspace(input: RunInput, news: News, earlier: WorkspacePlace = { epoch: 0 }): Workspace {
  const { run, repository } = input
  const artifacts: Artifact[] = []
  let { epoch, runner } = earlier
  let opening: Promise<Omit<HeldWorkspace, 'ref'>> | undefined
  if (runner !== undefined) {
    epoch += 1
    opening = Promise.resolve({ runner, files: [] })
  }

  async function open(): Promise<Omit<HeldWorkspace, 'ref'>> {
    epoch += 1
    const opened = await openings.openWorkspace({
      workspace: { runId: run.id, epoch },
      repository,
      sha: run.trigger.sha,
      artifacts,
    })
    runner = opened.runner
    news.tell({ type: 'workspace', runner: opened.runner, epoch, status: 'opened' })
    return opened
  }

  return {
    async hold() {
      opening ??= open()
      try {
        const held = await opening
        return { ...held, ref: { runId: run.id, epoch } }
      } catch (error) {
        opening = undefined
        throw error
      }
    },
    renew(cut) {
      if (cut === epoch) epoch += 1
    },
    forget(lost) {
      if (lost !== epoch) return
      news.tell({ type: 'workspace', runner: runner ?? 'unknown', epoch, status: 'lost' })
      opening = undefined
    },
    place: () => ({ epoch, ...(runner === undefined ? {} : { runner }) }),
    lay(more) {
      artifacts.push(...more)
    },
    async close() {
      const last = runner
      if (last === undefined) return
      opening = undefined
      runner = undefined
      try {
        await CancellationScope.nonCancellable(() => tidyingOn(last).closeWorkspace({ runId: run.id }))
        news.tell({ type: 'workspace', runner: last, epoch, status: 'closed' })
      } catch {
        // Not now: the runner itself sweeps the directories of ended runs.
      }
    },
  }
}
