/** The checker of the chaos proof: after a run was healed and is quiet, it reads everything that is remembered and names what is broken. */
import { messageOf } from '../../src/domain/errors.ts'
import type { Ledger, Verdict, World } from './evidence.ts'
import { createFinding, type Finding } from './finding.ts'
import { effectsAreSingle } from './invariants/effects-are-single.ts'
import { everyRunEnds } from './invariants/every-run-ends.ts'
import { historiesReplay } from './invariants/histories-replay.ts'
import { logsAreWhole } from './invariants/logs-are-whole.ts'
import { noSecretLeaks } from './invariants/no-secret-leaks.ts'
import { nothingIsLeft } from './invariants/nothing-is-left.ts'
import { oneIntendedRelease } from './invariants/one-intended-release.ts'
import { oneRunPerPipeline } from './invariants/one-run-per-pipeline.ts'
import { remember, type Memory } from './memory.ts'
import { openTemporalView, type TemporalView } from './temporal-view.ts'

type Check = (memory: Memory, temporal: TemporalView) => Finding | Promise<Finding>

/** A runner sweeps every five minutes. */
const sweptWithinMs = 330_000

/** docs/durability.md, What the proof checks. I5 is the last: it waits for the runners' sweep if it has to. */
const checks: Readonly<Record<string, Check>> = {
  I1: oneRunPerPipeline,
  I2: everyRunEnds,
  I3: oneIntendedRelease,
  I4: effectsAreSingle,
  I6: logsAreWhole,
  I7: noSecretLeaks,
  I8: (_, temporal) => historiesReplay(temporal),
  I5: (memory) => nothingIsLeft(memory, { sweptWithinMs }),
}

/** Throws if what is remembered cannot be read; whatever it can judge it judges. Takes up to six minutes more where runners have to sweep. */
export async function check(world: World, ledger: Ledger): Promise<Verdict> {
  const temporal = await openTemporalView(world.temporal)
  try {
    const memory = await remember(world, ledger, temporal)
    const judged: [string, Finding][] = []
    // One after the other: each is busy enough.
    for (const [invariant, look] of Object.entries(checks)) {
      judged.push([invariant, await judge(invariant, () => look(memory, temporal))])
    }
    const findings = judged.toSorted(([a], [b]) => a.localeCompare(b)).map(([, finding]) => finding)
    return {
      violations: findings.flatMap(({ violations }) => violations),
      looked: Object.assign({}, ...findings.map(({ looked }) => looked)) as Verdict['looked'],
      counts: count(memory),
    }
  } finally {
    await temporal.close()
  }
}

/** A check that breaks, or that looks at nothing, has proved nothing: that is a violation, too. */
export async function judge(invariant: string, look: () => Finding | Promise<Finding>): Promise<Finding> {
  let finding: Finding
  try {
    finding = await look()
  } catch (error) {
    const broken = createFinding(invariant)
    broken.blame('the check', `could not be carried out: ${messageOf(error)}`)
    return broken
  }
  if ((finding.looked[invariant] ?? 0) > 0) return finding
  return { ...finding, violations: [...finding.violations, { invariant, about: 'the check', facts: 'looked at nothing' }] }
}

/** Runs and deliveries in all, runs by end, deployments by kind and status, effects by kind. */
export function count({
  runs,
  deliveries,
  environments,
  effects,
  schemas,
  world,
}: Pick<Memory, 'runs' | 'deliveries' | 'environments' | 'effects' | 'schemas' | 'world'>): Verdict['counts'] {
  const deployments = environments.flatMap((environment) => environment.deployments)
  const rounds = runs.flatMap(({ run }) => Array.from({ length: run.round }, () => 'runs retried'))
  const named = [
    ...deliveries.map(() => 'deliveries in all'),
    ...runs.flatMap(({ run }) => ['runs in all', `runs ${run.status}`]),
    ...rounds,
    ...deployments.map(({ kind, status }) => `deployments ${kind} ${status}`),
    ...effects.lines.map(({ kind }) => `effects ${kind}`),
    ...schemas.lines.flatMap(({ what, when }) => (when === 'end' ? [`effects migration ${what}`] : [])),
    ...world.forge.taken.map(({ state }) => `effects commit status ${state}`),
  ]
  const counts: Verdict['counts'] = {}
  for (const name of named.toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
