import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  log,
  condition,
  continueAsNew,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow'
import {
  environmentSignal,
  environmentStateQuery,
  rollbackUpdate,
  type EnvironmentInput,
  type EnvironmentMessage,
} from '../contract/environment-workflow.ts'
import type { Answer, EnvironmentState, RollbackRequest } from '../domain/environment.ts'
import * as rules from '../domain/environment-rules.ts'
import { assertNever } from '../domain/errors.ts'
import { bookkeeping } from './activities.ts'
import { createDeployer, type Deployer } from './deployment.ts'
import { reasonOf } from './failure.ts'

/** Heartbeat and grace: after this long, what a dead owner had begun is over. */
const silenceMs = 20_000

/**
 * The one owner of an environment: its queue, its history, its fencing number. It carries deployments out itself, one at
 * a time; being the environment's and not the run's, a deployment outlives the run that asked for it.
 */
export function environment(input: EnvironmentInput): Promise<void> {
  // Cancelling an environment means nothing: it has no end.
  return CancellationScope.nonCancellable(() => own(input))
}

async function own(input: EnvironmentInput): Promise<void> {
  const waiting: EnvironmentMessage[] = []
  const owner: { state?: EnvironmentState } = {}

  // Handlers come first, so that nothing is missed; what arrives before the state is loaded waits.
  setHandler(environmentSignal, (message) => {
    if (owner.state === undefined) waiting.push(message)
    else receive(owner.state, message)
  })
  setHandler(environmentStateQuery, () => owner.state ?? rules.emptyEnvironment(input.name, 0))
  setHandler(rollbackUpdate, async (request) => {
    await condition(() => owner.state !== undefined)
    if (owner.state === undefined) throw ApplicationFailure.nonRetryable('the environment is starting', 'unavailable')
    return receiveRollback(owner.state, request)
  })

  const state = input.state ?? (await load(input.name))
  const deployer = createDeployer(state, tell)
  if (input.state === undefined) await deployer.recover(silenceMs, sleep)
  owner.state = state
  for (const message of waiting.splice(0)) receive(state, message)

  for (;;) {
    await condition(() => rules.hasJob(state) || workflowInfo().continueAsNewSuggested)
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished)
      await continueAsNew<typeof environment>({ name: input.name, state })
    }
    try {
      await work(state, deployer)
    } catch (error) {
      // A fault of ours must not stop the environment: it becomes the answer.
      deployer.abandon(reasonOf(error))
    }
  }

  function receive(current: EnvironmentState, message: EnvironmentMessage): void {
    const now = Date.now()
    switch (message.type) {
      case 'deploy':
        tell(message.request.runId, rules.receiveRequest(current, message.request, now))
        return
      case 'keep':
        tell(message.runId, rules.receiveKeep(current, message.requestId, now))
        deployer.record().catch((error: unknown) => {
          // The next record carries it, too.
          log.warn('the state was not recorded', { environment: input.name, reason: reasonOf(error) })
        })
        return
      case 'undo':
      case 'withdraw': {
        const answer = rules.receiveUndo(current, message.requestId, now, message.after)
        if (answer !== undefined) tell(message.runId, answer)
        return
      }
      default:
        assertNever(message)
    }
  }
}

/** One job, to its end. */
async function work(state: EnvironmentState, deployer: Deployer): Promise<void> {
  const job = rules.takeJob(state)
  if (job === undefined) return
  switch (job.type) {
    case 'undo':
      return deployer.undo(job.requestId)
    case 'rollback':
      return deployer.rollback(job.request)
    case 'deploy': {
      const { request } = job
      if (rules.isSuperseded(state, request)) {
        return tell(request.runId, rules.remember(state, rules.supersededBy(state, request, Date.now())))
      }
      const isOpen = await bookkeeping.isRunOpen({ runId: request.runId })
      // Withdrawn, or asked for again, while we asked: then that counts.
      const known = rules.findAnswer(state, request.id, Date.now())
      if (known !== undefined) return tell(request.runId, known)
      if (!isOpen) {
        rules.remember(state, { requestId: request.id, status: 'withdrawn', reason: 'its run has ended', at: Date.now() })
        return
      }
      return deployer.deploy(request)
    }
    default:
      return assertNever(job)
  }
}

async function load(name: string): Promise<EnvironmentState> {
  const { state, fence } = await bookkeeping.loadEnvironment({ environment: name })
  if (state === undefined) return rules.emptyEnvironment(name, fence)
  return { ...state, fence: Math.max(state.fence, fence) }
}

function receiveRollback(
  state: EnvironmentState,
  request: RollbackRequest,
): { requestId: string; release: number; digest: string } {
  const release = rules.receivePerson(state, request, Date.now())
  if (release === undefined) throw refusalOf(state, request)
  return { requestId: request.id, release: release.number, digest: release.image.digest }
}

function refusalOf({ name }: EnvironmentState, { release, to }: RollbackRequest): ApplicationFailure {
  if (release !== undefined) {
    return ApplicationFailure.nonRetryable(`release ${String(release.number)} is blocked in ${name}`, 'refused')
  }
  return ApplicationFailure.nonRetryable(
    to === undefined ? `${name} has no earlier release to go back to` : `${name} never served a release "${to}"`,
    'not_found',
  )
}

/** Told in the background; if it gets lost, the run asks again. */
function tell(runId: string, answer: Answer): void {
  bookkeeping.answerRun({ runId, answer }).catch((error: unknown) => {
    log.warn('an answer was not delivered', { runId, requestId: answer.requestId, reason: reasonOf(error) })
  })
}
