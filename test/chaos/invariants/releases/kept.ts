/**
 * What a run deployed goes together: all of it is kept if the run succeeded, and nothing of it if it was taken back, be that several
 * steps or one step of a group. What persons or later runs did has entries of its own.
 */
import type { Served } from '../../../../src/domain/environment.ts'
import { environmentMemory } from '../../../../src/domain/environment.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory, RunMemory } from '../../memory.ts'

/** Ends of a run after which its release must not serve. */
export const takenBack: readonly string[] = ['failed', 'errored', 'cancelled', 'rolled_back']

export function checkKept({ runs, environments }: Pick<Memory, 'runs' | 'environments'>, finding: FindingWriter): void {
  const states = new Map(environments.map(({ name, recorded }) => [name, recorded]))
  for (const one of runs) {
    const { id, status } = one.run
    for (const { step, names } of deploysOf(one)) {
      const served = names.map((name) => {
        const history = states.get(name)?.history ?? []
        const entry = history.findLast(({ requestId }) => requestId.startsWith(`${id}/${step}/${name}/`))
        const forgotten = entry === undefined && history.length >= environmentMemory
        return { name, how: forgotten ? ('forgotten' as const) : entry?.status }
      })
      if (names.length > 1) finding.look('groups')
      finding.look('settled deployments', served.length)
      const told = served.map(({ name, how }) => `${how ?? 'not deployed'} in ${name}`).join(', ')
      const about = `run ${id}, step ${step}`
      if (status === 'succeeded' && hasDeployed(one, step) && !served.every(({ how }) => how === 'kept' || how === 'forgotten'))
        finding.blame(about, `its run succeeded, and its release is ${told}`)
      const left = served.some(({ how }) => how !== undefined && stands.includes(how))
      if (takenBack.includes(status) && left) finding.blame(about, `its run ended ${status}, and its release is ${told}`)
    }
  }
}

const stands: readonly string[] = ['kept', 'provisional'] satisfies Served['status'][]

function deploysOf({ plan }: RunMemory): { step: string; names: string[] }[] {
  return (plan?.steps ?? []).flatMap((step) => {
    if (step.kind !== 'deploy') return []
    const { environment, environments = [] } = step.deploy
    return [{ step: step.id, names: environment === undefined ? environments : [environment] }]
  })
}

/** One that a newer push has overtaken is skipped, and its run succeeds all the same. */
function hasDeployed({ steps }: RunMemory, step: string): boolean {
  const rows = steps.filter((row) => row.step === step)
  const last = rows.toSorted((a, b) => a.attempt - b.attempt).at(-1)
  return last?.status === 'succeeded'
}
