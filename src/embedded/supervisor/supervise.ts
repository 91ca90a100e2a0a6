import type { Part, PartNews, RunningPart } from './part.ts'

export interface SupervisorOptions {
  /** In the order in which they start; they are stopped in the opposite one. */
  parts: readonly Part[]
  tell: (news: PartNews) => void
  /** Gives up the start, and stops what has started. */
  signal?: AbortSignal
  /** Waits before a restart: doubled from the first to the last, the first again after `resetMs` of good health. */
  backoff?: { firstMs: number; lastMs: number; resetMs: number }
}

export interface Supervisor {
  /** Pids of the parts that run now, by name. */
  pids(): Record<string, number>
  /** Stops everything in order; what is on its way up is stopped too. Twice: the same end. */
  stop(): Promise<void>
  /** Kills everything at once. */
  kill(): void
}

/**
 * Starts the parts one after another and keeps them alive until `stop`: a part that ends, or cannot be started again, is
 * tried again with backoff, for ever. A part that does not come up the first time ends it all: the parts before it are
 * stopped and its error is thrown.
 */
export async function supervise(options: SupervisorOptions): Promise<Supervisor> {
  const { parts, tell } = options
  const backoff = options.backoff ?? { firstMs: 200, lastMs: 5000, resetMs: 30_000 }
  const stopping = new AbortController()
  const running = new Map<string, RunningPart>()
  const watches: Promise<void>[] = []

  async function bringUp(part: Part): Promise<RunningPart> {
    const since = performance.now()
    const up = await part.start(stopping.signal)
    running.set(part.name, up)
    if (stopping.signal.aborted) {
      await up.stop()
      return up
    }
    tell({ type: 'ready', part: part.name, detail: up.detail, pid: up.pid, ms: performance.now() - since })
    return up
  }

  async function keepAlive(part: Part, first: RunningPart): Promise<void> {
    let up: RunningPart | undefined = first
    let waitMs = backoff.firstMs
    for (;;) {
      const since: number = performance.now()
      if (up !== undefined) {
        const how = await up.ended
        running.delete(part.name)
        if (stopping.signal.aborted) return
        if (performance.now() - since >= backoff.resetMs) waitMs = backoff.firstMs
        tell({ type: 'ended', part: part.name, how, restartInMs: waitMs })
      }
      await pause(waitMs, stopping.signal)
      waitMs = Math.min(waitMs * 2, backoff.lastMs)
      if (stopping.signal.aborted) return
      try {
        up = await bringUp(part)
      } catch (error) {
        up = undefined
        if (stopping.signal.aborted) return
        tell({ type: 'failed', part: part.name, error, restartInMs: waitMs })
      }
    }
  }

  async function stopAll(): Promise<void> {
    for (const part of [...parts].reverse()) {
      const up = running.get(part.name)
      if (up === undefined) continue
      const since = performance.now()
      await up.stop()
      tell({ type: 'stopped', part: part.name, ms: performance.now() - since })
    }
    await Promise.all(watches)
  }

  let stopped: Promise<void> | undefined
  const stop = () => {
    stopping.abort()
    stopped ??= stopAll()
    return stopped
  }

  const giveUp = () => {
    stopping.abort()
  }
  options.signal?.addEventListener('abort', giveUp)
  try {
    for (const part of parts) {
      options.signal?.throwIfAborted()
      watches.push(keepAlive(part, await bringUp(part)))
    }
  } catch (error) {
    await stop()
    throw error
  } finally {
    options.signal?.removeEventListener('abort', giveUp)
  }
  return {
    pids: () => Object.fromEntries([...running].map(([name, { pid }]) => [name, pid])),
    stop,
    kill() {
      stopping.abort()
      for (const up of running.values()) up.kill()
    },
  }
}

/** Resolves after the time, or at once when the signal comes. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const settle = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', settle)
      resolve()
    }
    const timer = setTimeout(settle, ms)
    signal.addEventListener('abort', settle)
  })
}
