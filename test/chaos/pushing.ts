/** The stream of pushes: commits, and the posts that tell of them. */
import { serverNames, type ServerName } from '../helpers/cluster.ts'
import { postPush } from '../helpers/hook.ts'
import type { Ledger, Post } from './evidence.ts'
import { pause } from './pause.ts'
import { filesOf, idleBranch, pipelinesOf } from './pipelines.ts'
import type { PlannedPush } from './schedule.ts'
import type { ChaosWorld } from './world.ts'

/** A push that was committed, whether it was posted or not. */
export type Committed = Pick<Post, 'deliveryId' | 'branch' | 'sha' | 'pipelines'> & { message: string }

export interface Pushing {
  /** Commits, and posts until it is taken. */
  push(planned: PlannedPush): Promise<void>
  commit(planned: PlannedPush): Promise<Committed>
  /** Until it is answered with 2xx, as a forge's redelivery does: to one server and then to the other. */
  deliver(committed: Committed, server: ServerName): Promise<void>
  /** Once more what was posted before: 0 is the first, 1 the last. */
  repeat(pick: number, server: ServerName): Promise<boolean>
}

const mostTries = 12
const answerWithinMs = 20_000

export function createPushing(input: { world: ChaosWorld; ledger: Ledger; seed: number; signal: AbortSignal }): Pushing {
  const { world, ledger, seed, signal } = input
  const delivered: Committed[] = []
  let committing: Promise<unknown> = Promise.resolve()
  let count = 0

  async function post(committed: Committed, server: ServerName): Promise<boolean> {
    const { deliveryId, branch, sha, pipelines, message } = committed
    const at = Date.now()
    const url = `${world.wires[server].url}/hooks/${world.project}`
    const answer = await postPush({
      url,
      secret: world.hookSecret,
      branch,
      sha,
      message,
      deliveryId,
      timeoutMs: answerWithinMs,
    }).catch(() => undefined)
    const runId = (answer?.body as { run?: { id: string } } | undefined)?.run?.id
    ledger.posts.push({
      ...{ at, deliveryId, branch, sha, pipelines },
      ...(answer === undefined ? {} : { status: answer.status }),
      ...(runId === undefined ? {} : { runId }),
    })
    return answer !== undefined && answer.status >= 200 && answer.status < 300
  }

  const pushing: Pushing = {
    async push(planned) {
      await pushing.deliver(await pushing.commit(planned), planned.server)
    },
    async commit({ branch, written }) {
      count += 1
      const number = count
      const message = `push ${String(number)}: ${written.fate}`
      const files = filesOf(written, { version: String(number), notes: world.notes })
      // One working copy: one commit at a time.
      const work = committing.then(() => world.repository.commit({ files, message, branch }))
      committing = work.catch(() => undefined)
      const pipelines = branch === idleBranch ? [] : pipelinesOf(written)
      return { deliveryId: `chaos-${String(seed)}-${String(number)}`, branch, sha: await work, pipelines, message }
    },
    async deliver(committed, server) {
      let via = server
      delivered.push(committed)
      for (let tries = 0; tries < mostTries && !signal.aborted; tries += 1) {
        if (await post(committed, via)) return
        via = serverNames.find((other) => other !== via) ?? via
        await pause(500, signal)
      }
    },
    async repeat(pick, server) {
      const one = delivered[Math.min(Math.floor(pick * delivered.length), delivered.length - 1)]
      if (one === undefined) return false
      await pushing.deliver(one, server)
      return true
    },
  }
  return pushing
}
