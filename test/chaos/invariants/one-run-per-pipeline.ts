/** I1: each accepted delivery has exactly one run for each pipeline it matches, or one `skipped`; no run is without a trigger. */
import type { Delivery } from '../../../src/domain/delivery.ts'
import { groupBy } from '../collections.ts'
import type { Ledger, Post, Request } from '../evidence.ts'
import { createFinding, type Finding } from '../finding.ts'
import { wasRunEnded } from '../interruptions.ts'
import type { Memory, RunMemory } from '../memory.ts'
import { runIdOf } from '../temporal-view.ts'

export function oneRunPerPipeline(memory: Memory): Finding {
  const finding = createFinding('I1')
  const { deliveries, runs, ledger, executions } = memory
  const posts = groupBy(ledger.posts, ({ deliveryId }) => deliveryId)
  const rows = new Map(deliveries.map((delivery) => [delivery.deliveryId, delivery]))
  /** Those that one trigger has made share its place in the sequence. */
  const siblings = groupBy(runs, ({ run }) => String(run.sequence))
  const claimed = new Set<string>()
  const groupOf = ({ run }: RunMemory) => siblings.get(String(run.sequence)) ?? []

  for (const post of ledger.posts) {
    finding.look('posts')
    if (isAccepted(post)) checkAnswer(post, rows.get(post.deliveryId))
  }
  for (const delivery of deliveries) {
    finding.look('deliveries')
    checkDelivery(delivery, posts.get(delivery.deliveryId)?.[0])
  }
  for (const run of runs) {
    finding.look('runs')
    checkRounds(run)
    if (!claimed.has(run.run.id)) checkUnclaimed(run)
  }
  return finding

  function checkAnswer(post: Post, row: Delivery | undefined): void {
    const about = `delivery ${post.deliveryId}`
    if (row === undefined) return finding.blame(about, `answered ${String(post.status)}, and the store does not know it`)
    const kept = runIdIn(row)
    if (kept !== post.runId) {
      finding.blame(about, `answered with run ${String(post.runId)}, and the store has run ${String(kept)} for it`)
    }
  }

  function checkDelivery(delivery: Delivery, post: Post | undefined): void {
    const about = `delivery ${delivery.deliveryId}`
    if (post === undefined) return finding.blame(about, 'the store has it, and nobody posted it')
    const first = runs.find(({ run }) => run.id === runIdIn(delivery))
    if (first === undefined) return finding.blame(about, `has no run: the answer was ${JSON.stringify(delivery.answer)}`)
    if (claimed.has(first.run.id)) return finding.blame(about, `shares run ${tell(first)} with another delivery`)
    for (const { run } of groupOf(first)) claimed.add(run.id)
    checkGroup(about, first, post.pipelines)
  }

  function checkGroup(about: string, first: RunMemory, pipelines: readonly string[]): void {
    const group = groupOf(first)
    const runsTold = group.map(tell).join(', ')
    const isCut = wasCutBefore(first, ledger)
    if (pipelines.length === 0) {
      const isRight = group.length === 1 && (first.run.status === 'skipped' || isCut)
      if (!isRight) finding.blame(about, `matches no pipeline, and its runs are ${runsTold}`)
      return
    }
    const named = group.flatMap(nameOf)
    // One that ended before it was compiled has no name; it stands for the first pipeline that matches.
    const isEachOne = named.length === group.length || (isCut && named.length === group.length - 1 && nameOf(first).length === 0)
    const isRight = isEachOne && new Set(named).size === named.length && named.every((name) => pipelines.includes(name))
    // Whoever cancels a run before it was compiled has no siblings of it started: docs/durability.md, Limits.
    const mayLack = isCut && first.run.status === 'cancelled'
    if (isRight && (group.length === pipelines.length || (mayLack && group.length < pipelines.length))) return
    finding.blame(about, `its pipelines are [${pipelines.join(', ')}], its runs ${runsTold}`)
  }

  /** A run that a person goes on with is the same run, once for each time that it was asked for. */
  function checkRounds(one: RunMemory): void {
    const { run } = one
    const isOfIt = ({ kind, runId }: Request) => kind === 'resume' && runId === run.id
    const asked = ledger.requests.filter(isOfIt).length
    const perhaps = ledger.unanswered.filter(isOfIt).length
    if (asked + perhaps + run.round === 0) return
    finding.look('rounds', run.round)
    const facts = `went on ${String(run.round)} times after an end, and was asked to ${String(asked)} times`
    const others = perhaps === 0 ? '' : `, ${String(perhaps)} more without an answer`
    if (run.round < asked || run.round > asked + perhaps) finding.blame(`run ${tell(one)}`, `${facts}${others}`)
    const begun = executions.filter((execution) => runIdOf(execution) === run.id && execution.workflowId.includes('/retry-'))
    const workflows = new Set(begun.filter(({ type }) => type === 'run').map(({ workflowId }) => workflowId))
    // A round that was cancelled before it was started has no workflow.
    const cancels = [...ledger.requests, ...ledger.unanswered].filter(({ kind, runId }) => kind === 'cancel' && runId === run.id)
    if (workflows.size > run.round || workflows.size + cancels.length < run.round) {
      finding.blame(`run ${tell(one)}`, `${facts}; its workflows are ${[...workflows].toSorted().join(', ') || 'none'}`)
    }
  }

  function checkUnclaimed(one: RunMemory): void {
    const { run } = one
    const about = `run ${tell(one)}`
    const { source, branch, sha } = run.trigger
    if (source === 'hook') return finding.blame(about, 'came by a hook, and no delivery in the store has it')
    if (source === 'api') {
      if (!ledger.requests.some(({ runId }) => runId === run.id)) finding.blame(about, 'was asked for by nobody')
      return
    }
    for (const { run: other } of groupOf(one)) claimed.add(other.id)
    const twin = runs.find(({ run: other }) => isSamePush(run, other) && !movedBetween(run, other))
    if (twin !== undefined) finding.blame(about, `polling made it of the push to ${branch} that run ${tell(twin)} is of, too`)
    const post = ledger.posts.find((posted) => posted.branch === branch && posted.sha === sha)
    if (post !== undefined) checkGroup(about, one, post.pipelines)
  }

  function isSamePush(run: RunMemory['run'], other: RunMemory['run']): boolean {
    const { branch, sha, source } = other.trigger
    return other.sequence !== run.sequence && source !== 'api' && branch === run.trigger.branch && sha === run.trigger.sha
  }

  /** A hook that comes after polling has seen the branch move on is a run of its own: docs/durability.md, Limits. */
  function movedBetween(one: RunMemory['run'], other: RunMemory['run']): boolean {
    const [from, to] = [one.sequence, other.sequence].toSorted((a, b) => a - b)
    return runs.some(({ run }) => {
      const { branch, sha } = run.trigger
      const isBetween = run.sequence > Number(from) && run.sequence < Number(to)
      return isBetween && branch === one.trigger.branch && sha !== one.trigger.sha
    })
  }
}

function isAccepted({ status }: Post): boolean {
  return status === 200 || status === 202
}

function runIdIn({ answer }: Delivery): string | undefined {
  return 'run' in answer ? answer.run.id : undefined
}

function nameOf({ run }: RunMemory): string[] {
  const name = run.pipelineName ?? run.pipeline
  return name === undefined ? [] : [name]
}

/** Cancelled, or ended inside Temporal by a fault, before it was compiled. */
function wasCutBefore({ run, events }: RunMemory, ledger: Ledger): boolean {
  if (events.some(({ body }) => body.type === 'planned')) return false
  return run.status === 'cancelled' || (run.status === 'errored' && wasRunEnded(ledger, run.id))
}

function tell(one: RunMemory): string {
  const { run } = one
  return `${run.id} (#${String(run.number)}, ${nameOf(one)[0] ?? 'no pipeline'}, ${run.status})`
}
