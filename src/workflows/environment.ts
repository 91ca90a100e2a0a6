import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  log,
  condition,
  continueAsNew,
  patched,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow'
import {
  blockUpdate,
  environmentSignal,
  environmentStateQuery,
  freezeUpdate,
  personUpdate,
  rollbackUpdate,
  type EnvironmentInput,
  type EnvironmentMessage,
} from '../contract/environment-workflow.ts'
import type { Answer, Deployment, EnvironmentState } from '../domain/environment.ts'
import { blockedAnswer } from '../domain/environment-blocks.ts'
import * as rules from '../domain/environment-rules.ts'
import { assertNever } from '../domain/errors.ts'
import { bookkeeping } from './activities.ts'
import { createDeployer, type Deployer } from './deployment.ts'
import { reasonOf } from './failure.ts'
import { createFreezing } from './freezing.ts'
import { acceptPerson, createPersonDesk, type PersonDesk } from './person-desk.ts'

/** Heartbeat and grace: after this long, what a dead owner had begun is over. */
const silenceMs = 20_000

/**
 * About how many events each makes, and how many a worker replays in a second or two where it has to share its machine. They are reckoned
 * and not asked for: what Temporal says of a history's length may come at another moment in a replay.
 */
const events = { job: 120, message: 10, long: 600 } as const

/** How long continuing as new waits for answers that are on their way. */
const patienceMs = 10_000

/**
 * The one owner of an environment: its queue, its history, its fencing number. It carries deployments out itself, one at
 * a time; being the environment's and not the run's, a deployment outlives the run that asked for it.
 */
export function environment(input: EnvironmentInput): Promise<void> {
  // Cancelling an environment means nothing: it has no end.
  return CancellationScope.nonCancellable(() => own(input))
}

async function own(input: EnvironmentInput): Promise<void> {
  // Said to a run is what is in the store; a queue can be looked at before its first deployment.
  const recordsFirst = patched('environment-records-first')
  const staysShort = patched('histories-stay-short')
  let reckoned = 0
  const isLong = (): boolean => workflowInfo().continueAsNewSuggested || (staysShort && reckoned > events.long)
  /** Answers and records that nothing waits for. */
  let underWay = 0
  /** Records, and what is said after them: local activities, whose end must not find this one continued as new. */
  let recording = 0
  let isLeaving = false
  const waiting: EnvironmentMessage[] = []
  const owner: { state?: EnvironmentState; desk?: PersonDesk } = {}

  // Handlers come first, so that nothing is missed; what arrives before the state is loaded waits.
  setHandler(environmentSignal, (message) => {
    reckoned += events.message
    if (owner.state === undefined || isLeaving) waiting.push(message)
    else receive(owner.state, message)
  })
  setHandler(environmentStateQuery, () => owner.state ?? rules.emptyEnvironment(input.name, 0))
  setHandler(rollbackUpdate, async (request) => {
    await condition(() => owner.state !== undefined)
    if (owner.state === undefined) throw ApplicationFailure.nonRetryable('the environment is starting', 'unavailable')
    return acceptPerson(owner.state, request)
  })
  const atDesk = async (): Promise<PersonDesk> => {
    reckoned += events.message
    await condition(() => owner.desk !== undefined)
    if (owner.desk === undefined) throw ApplicationFailure.nonRetryable('the environment is starting', 'unavailable')
    return owner.desk
  }
  setHandler(personUpdate, async (request) => (await atDesk()).ask(request))
  setHandler(freezeUpdate, async (change) => (await atDesk()).freeze(change))
  setHandler(blockUpdate, async (change) => (await atDesk()).block(change))

  const loaded = input.state === undefined ? await load(input.name) : { state: input.state, isAgain: false }
  const { state } = loaded
  const isBlank = input.state === undefined && state.active === undefined && state.current === undefined
  const deployer = createDeployer(state, { tell, isBlank })
  const freezing = createFreezing(state, tellQueue)
  const desk = createPersonDesk(state, { record: recordSurely, freezing, tell })
  if (input.state === undefined) await recover()
  owner.state = state
  owner.desk = desk
  for (const message of [...(input.messages ?? []), ...waiting.splice(0)]) receive(state, message)
  // What was said to the one before, and is not on record.
  if (loaded.isAgain && patched('calls-runs')) void inBackground(bookkeeping.callRuns({ environment: input.name }))

  for (;;) {
    await freezing.wait(() => rules.hasJob(state) || isLong())
    if (isLong()) {
      // What is on its way would be dropped, and its run would have to ask again.
      if (recordsFirst) await condition(() => underWay === 0, patienceMs)
      // What comes from now on is for the next one. A command after the last one would be refused, and so would each further try.
      isLeaving = true
      await condition(() => recording === 0 && allHandlersFinished())
      await continueAsNew<typeof environment>({
        ...{ name: input.name, state },
        ...(waiting.length === 0 ? {} : { messages: waiting }),
      })
    }
    if (freezing.concerns()) {
      await freezing.settle()
      if (!rules.hasJob(state)) continue
    }
    reckoned += events.job
    const { revision } = state
    try {
      await work(state, { deployer, desk, tell })
      // Answered without a deployment: the store still has it among what waits.
      if (state.revision === revision && patched('rest-is-recorded')) await deployer.record()
    } catch (error) {
      // A fault of ours must not stop the environment: it becomes the answer.
      await deployer.abandon(reasonOf(error))
    }
  }

  async function recover(): Promise<void> {
    try {
      await deployer.recover(silenceMs, sleep)
    } catch (error) {
      await deployer.abandon(reasonOf(error))
    }
  }

  function receive(current: EnvironmentState, message: EnvironmentMessage): void {
    const now = Date.now()
    switch (message.type) {
      case 'deploy': {
        if (isBeingAnswered('deploy', message.request.id)) return
        const queued = current.queue.length
        tell(message.request.runId, rules.receiveRequest(current, message.request, now))
        if ((recordsFirst || current.held !== undefined) && current.queue.length > queued) void inBackground(record())
        return
      }
      case 'keep': {
        const kept = rules.receiveKeep(current, message.requestId, now)
        if (recordsFirst) return void tellRecorded(message.runId, kept)
        tell(message.runId, kept)
        void inBackground(record())
        return
      }
      case 'undo':
      case 'withdraw': {
        if (isBeingAnswered('undo', message.requestId)) return
        if (message.type === 'undo' && message.kept === true) rules.unkeep(current, message.requestId)
        const answer = rules.receiveUndo(current, message.requestId, now, message.after)
        if (answer === undefined) return
        if (patched('answered-is-recorded')) void tellRecorded(message.runId, answer)
        else tell(message.runId, answer)
        return
      }
      default:
        assertNever(message)
    }
  }

  /** It was carried out, and is written down first: to queue it again, or to say that it is undone, would be wrong. */
  function isBeingAnswered(job: 'deploy' | 'undo', requestId: string): boolean {
    return deployer.isFinishing(job, requestId) && patched('answer-is-on-its-way')
  }

  /** A record under a fencing number that a deployment has replaced meanwhile may have been dropped. */
  async function recordSurely(deployment?: Deployment): Promise<void> {
    for (;;) {
      const { fence } = state
      await record(deployment)
      if (state.fence === fence) return
    }
  }

  async function record(deployment?: Deployment): Promise<void> {
    recording += 1
    try {
      await deployer.record(deployment)
    } finally {
      recording -= 1
    }
  }

  /** If it fails, the next record carries it, too; and what runs are asked for they say some time anyway. */
  async function inBackground(bookkept: Promise<void>): Promise<void> {
    underWay += 1
    try {
      await bookkept
    } catch (error) {
      log.warn('the state was not recorded, or runs were not asked', { environment: input.name, reason: reasonOf(error) })
    } finally {
      underWay -= 1
    }
  }

  /** Told in the background; if it gets lost, the run asks again. */
  function tell(runId: string, answer: Answer): void {
    underWay += 1
    bookkeeping
      .answerRun({ runId, answer })
      .catch((error: unknown) => {
        log.warn('an answer was not delivered', { runId, requestId: answer.requestId, reason: reasonOf(error) })
      })
      .finally(() => {
        underWay -= 1
      })
  }

  /** The store knows it before the run does. */
  async function tellRecorded(runId: string, answer: Answer): Promise<void> {
    recording += 1
    await inBackground(recordSurely())
    tell(runId, answer)
    recording -= 1
  }

  function tellQueue(): void {
    for (const { id, runId } of state.queue) tell(runId, rules.queuedAnswer(state, id, Date.now()))
    void inBackground(record())
  }
}

interface Tools {
  deployer: Deployer
  desk: PersonDesk
  tell(runId: string, answer: Answer): void
}

/** One job, to its end. */
async function work(state: EnvironmentState, { deployer, desk, tell }: Tools): Promise<void> {
  const job = rules.takeJob(state)
  if (job === undefined) return
  switch (job.type) {
    case 'undo':
      return deployer.undo(job.requestId)
    case 'rollback':
      if (state.blocked !== undefined && (await desk.refuseBlocked(job.request))) return
      return deployer.rollback(job.request)
    case 'deploy': {
      const { request } = job
      if (rules.isSuperseded(state, request)) {
        return tell(request.runId, rules.remember(state, rules.supersededBy(state, request, Date.now())))
      }
      const { freezes } = state
      const isOpen = await bookkeeping.isRunOpen({ runId: request.runId })
      // Withdrawn, or asked for again, while we asked: then that counts.
      const known = rules.findAnswer(state, request.id, Date.now())
      if (known !== undefined) return tell(request.runId, known)
      if (!isOpen) {
        rules.remember(state, { requestId: request.id, status: 'withdrawn', reason: 'its run has ended', at: Date.now() })
        return
      }
      const blocked = blockedAnswer(state, request, Date.now())
      if (blocked !== undefined) return tell(request.runId, rules.remember(state, blocked))
      if (state.freezes !== freezes) {
        // A window was opened or lifted meanwhile: it is looked at first.
        state.queue.unshift(request)
        return
      }
      return deployer.deploy(request)
    }
    default:
      return assertNever(job)
  }
}

/** `isAgain`: there was a workflow of this environment before. */
async function load(name: string): Promise<{ state: EnvironmentState; isAgain: boolean }> {
  const { state, fence } = await bookkeeping.loadEnvironment({ environment: name })
  if (state === undefined) return { state: rules.emptyEnvironment(name, fence), isAgain: fence > 0 }
  return { state: { ...state, fence: Math.max(state.fence, fence) }, isAgain: true }
}
