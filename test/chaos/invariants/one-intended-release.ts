/**
 * I3: one deployment at a time in each environment, and it serves what its state says: a release that no failed run has left there, on
 * the data that it needs. What one run has deployed is kept or taken back together.
 */
import type { Deployment, EnvironmentState } from '../../../src/domain/environment.ts'
import type { Ledger } from '../evidence.ts'
import { createFinding, type Finding } from '../finding.ts'
import type { EnvironmentMemory, Memory } from '../memory.ts'
import { checkKept, takenBack } from './releases/kept.ts'
import { checkLevels } from './releases/levels.ts'

/** They say that it may serve. */
const notTakenBack: readonly string[] = ['rollback_failed', 'rollback_blocked']

export function oneIntendedRelease(memory: Memory): Finding {
  const { environments, runs, schemas, ledger } = memory
  const finding = createFinding('I3')
  const statuses = new Map<string, string>(runs.map(({ run }) => [run.id, run.status]))
  for (const environment of environments) {
    finding.look('environments')
    finding.look('deployments', environment.deployments.length)
    const blame = (facts: string) => finding.blame(`environment ${environment.name}`, facts)
    checkTurns(environment, blame)
    checkServing(environment, blame)
    const { recorded } = environment
    if (recorded === undefined) continue
    checkIntended(environment, recorded, blame)
    finding.look('migrations', recorded.migrations?.length ?? 0)
    checkLevels(recorded, schemas, blame)
  }
  checkKept(memory, finding)
  return finding

  function checkIntended(environment: EnvironmentMemory, state: EnvironmentState, blame: Blame): void {
    const { current } = state
    const status = current === undefined ? undefined : statuses.get(current.release.runId)
    const put = environment.deployments.find(({ id }) => id === current?.deploymentId)
    const askedByPerson = put !== undefined && put.runId === undefined
    if (current !== undefined && status !== undefined && takenBack.includes(status) && !askedByPerson) {
      blame(`serves release ${String(current.release.number)}, whose run ${current.release.runId} ended ${status}`)
    }
    if (status !== undefined && notTakenBack.includes(status)) return
    if ((state.stuck ?? []).length > 0) return
    const kept = newestKept(state)
    if (kept?.deploymentId !== current?.deploymentId && !isOnlyNewerOnceBlocked(state, blockedOnce(ledger, state))) {
      const newest =
        kept === undefined ? 'none is kept' : `the newest kept one is ${String(kept.release.number)} (${kept.deploymentId})`
      blame(`${nameOf(current)} is current, and ${newest}`)
    }
  }
}

type Blame = (facts: string) => void

/** A deployment begins when the one before it has ended. */
function checkTurns({ deployments, recorded }: EnvironmentMemory, blame: Blame): void {
  const ordered = deployments.toSorted((a, b) => a.startedAt - b.startedAt)
  for (const [index, deployment] of ordered.entries()) {
    const before = ordered[index - 1]
    if (before !== undefined && deployment.startedAt < (before.endedAt ?? Infinity)) {
      blame(`deployments overlap: ${tell(before)} and ${tell(deployment)}`)
    }
    if (deployment.endedAt === undefined || deployment.status === 'running') {
      blame(`a deployment has not ended: ${tell(deployment)}`)
    }
  }
  if (recorded?.active !== undefined) blame(`its state has a deployment in progress: ${tell(recorded.active)}`)
}

/** The edge, the keeper, the workflow and the store say the same. */
function checkServing({ recorded, owner, keeper, edge }: EnvironmentMemory, blame: Blame): void {
  const wanted = recorded?.current?.release.image.digest
  const own = keeper?.instances.find(({ id }) => 'said' in edge && id === edge.said.instance)
  if (keeper?.active !== wanted) blame(`the keeper serves ${String(keeper?.active)}, and the state says ${String(wanted)}`)
  if (wanted !== undefined) {
    const answer = 'silent' in edge ? edge.silent : `${String(edge.said.status)} from instance "${edge.said.instance}"`
    if ('silent' in edge || edge.said.status !== 200) blame(`its edge does not serve: ${answer}`)
    // What runs elsewhere has no instance of the keeper's.
    else if (keeper?.upstreams.length === 0 && own?.digest !== wanted) {
      blame(`its edge serves ${String(own?.digest)} (${answer}), and the state says ${wanted}`)
    }
  } else if ('said' in edge && edge.said.status === 200) blame('nothing is deployed, and its edge serves')
  if (recorded === undefined) return
  if ('silent' in owner) return blame(`its workflow does not answer: ${owner.silent}`)
  if (owner.said.current?.deploymentId !== recorded.current?.deploymentId) {
    blame(`its workflow says ${nameOf(owner.said.current)} is current, and the store ${nameOf(recorded.current)}`)
  }
  const waiting = owner.said.queue.length + owner.said.rollbacks.length + owner.said.undos.length
  if (waiting > 0 || owner.said.active !== undefined)
    blame(`its workflow still has ${String(waiting)} requests, or one in progress`)
}

/** Written out again: what is checked must not be asked what is right. */
function newestKept({ history, current, blocked = [] }: EnvironmentState): EnvironmentState['history'][number] | undefined {
  const byRun = new Set(history.filter(({ status }) => status === 'blocked').map(({ release }) => release.id))
  const byPerson = new Set(blocked.flatMap(({ release }) => [release.id, release.image.digest]))
  // Blocking what serves does not take it away.
  const mayServe = ({ deploymentId, release: { id, image } }: EnvironmentState['history'][number]) =>
    !byRun.has(id) && (deploymentId === current?.deploymentId || (!byPerson.has(id) && !byPerson.has(image.digest)))
  return history.filter((served) => served.status === 'kept' && mayServe(served)).at(-1)
}

/** Releases that a person had blocked there, whether they are blocked still or not. */
function blockedOnce({ requests, unanswered }: Ledger, { name, blocked = [] }: EnvironmentState): Set<string> {
  const asked = [...requests, ...unanswered].filter(({ kind, environment }) => kind === 'block' && environment === name)
  return new Set([...blocked.map(({ release }) => release.id), ...asked.flatMap(({ release }) => release ?? [])])
}

/** What serves is a kept one, and each that was kept after it was blocked when the environment went back: lifting a block brings nothing back. */
function isOnlyNewerOnceBlocked({ history, current }: EnvironmentState, once: ReadonlySet<string>): boolean {
  const kept = history.filter(({ status }) => status === 'kept')
  const at = kept.findLastIndex(({ deploymentId }) => deploymentId === current?.deploymentId)
  const blockedDigests = new Set(kept.filter(({ release }) => once.has(release.id)).map(({ release }) => release.image.digest))
  return (
    (at !== -1 || current === undefined) && kept.slice(at + 1).every(({ release }) => blockedDigests.has(release.image.digest))
  )
}

function nameOf(current: EnvironmentState['current']): string {
  return current === undefined ? 'nothing' : `release ${String(current.release.number)} (${current.deploymentId})`
}

function tell({ id, kind, status, startedAt, endedAt }: Deployment): string {
  return `${kind} ${id} (${status}, ${String(startedAt)} to ${String(endedAt ?? 'now')})`
}
