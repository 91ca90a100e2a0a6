/** Processes that left their step's group: found by a variable that every step's environment carries. Linux only. */
import { findTagged } from '../process/identity.ts'
import type { JournalRecord } from './journal.ts'
import { pause } from './stop.ts'

export const tagVariable = 'BELAY_STEP_TAG'

/** The same for all steps of one workspace. */
export function tagOf(workspace: { runId: string; epoch: number }): string {
  return `${workspace.runId}/${String(workspace.epoch)}`
}

/**
 * May processes that carry its workspace's tag be this runner's? Not after an opening: that runs no step, and one that came to nothing is
 * made again under the same epoch by whoever is free, on this machine, too.
 */
export function hadSteps({ begun }: Pick<JournalRecord, 'begun'>): boolean {
  return begun.work !== 'opening'
}

/** Kills everything that carries the workspace's tag; resolves when nothing of it is left. */
export async function killTagged(tag: string): Promise<void> {
  await killUntilGone(() => findTagged(tagVariable, tag))
}

/** The same for one step, by its name. */
export async function killStepOf(workspace: { runId: string; epoch: number }, step: string, attempt: number): Promise<void> {
  await killTaggedStep({ [tagVariable]: tagOf(workspace), BELAY_STEP: step, BELAY_ATTEMPT: String(attempt) })
}

/** The same for one step: others of its workspace may be running. `env` is the environment that it was given. */
export async function killTaggedStep(env: Readonly<Record<string, string>>): Promise<void> {
  const names = [tagVariable, 'BELAY_STEP', 'BELAY_ATTEMPT']
  await killUntilGone(() => {
    const [first = [], ...others] = names.map((name) => findTagged(name, env[name] ?? ''))
    return first.filter((pid) => others.every((pids) => pids.includes(pid)))
  })
}

/** What is killed may have forked in the meantime, so look again until there is nothing. */
async function killUntilGone(find: () => number[]): Promise<void> {
  for (let pids = find(); pids.length > 0; pids = find()) {
    for (const pid of pids) kill(pid)
    await pause(10)
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself between the look and the kill; the next look tells.
  }
}
