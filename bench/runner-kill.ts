/** SIGKILL of a runner in mid-step, started again at once: how long until the same run does something again. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { postPush } from '../test/helpers/hook.ts'
import { runnerNames, startCluster, type Cluster } from '../test/helpers/cluster.ts'
import { until } from '../test/helpers/until.ts'
import { describeTimes } from './bench-system.ts'

const kills = 30
const stepMs = 1_200

export async function measureRunnerKills(): Promise<string[]> {
  const cluster = await startCluster()
  try {
    const id = await startLongRun(cluster)
    const runner = await until('a runner has the run', async () => {
      const events = await cluster.store.runs.events(id, { after: 0, limit: 100 })
      const name = events
        .map(({ body }) => (body.type === 'workspace' ? body.runner : undefined))
        .find((found) => found !== undefined)
      return runnerNames.find((known) => known === name)
    })
    const times: number[] = []
    const cut = new Set<string>()
    for (let n = 0; n < kills; n++) {
      const step = await until('the next step is in its middle', () => {
        const [what, name = ''] = readNotes(cluster).at(-1)?.split(' ') ?? []
        return what === 'begin' && !cut.has(name) ? name : undefined
      })
      await pause(100 + ((n * 37) % 10) * 80)
      const before = readNotes(cluster).length
      const killedAt = Date.now()
      await cluster.kill(runner)
      const starting = cluster.start(runner)
      await until('the run advances', () => readNotes(cluster).length > before, 60_000)
      times.push(Date.now() - killedAt)
      cut.add(step)
      await starting
    }
    const ended = await until(
      'the run ends',
      async () => {
        const run = await cluster.store.runs.find(id)
        return run?.endedAt === undefined ? undefined : run
      },
      120_000,
    )
    return [
      `runner killed in mid-step → the run advances: ${describeTimes(times)}`,
      `  the run ${ended.status}; steps cut ${String(cut.size)}; finished steps begun again: ${String(countRedone(cluster))}`,
    ]
  } finally {
    await cluster.stop()
  }
}

/** Each step says when it begins and when it ends. */
async function startLongRun(cluster: Cluster): Promise<string> {
  const repository = await cluster.git.createRepository('flood')
  const notes = join(cluster.notes, 'steps')
  const steps = Array.from({ length: kills + 4 }, (_, index) => {
    const lines = [`echo "begin $BELAY_STEP" >> ${notes}`, `sleep ${String(stepMs / 1000)}`, `echo "end $BELAY_STEP" >> ${notes}`]
    return `  s${String(index)}:\n    commands:\n${lines.map((line) => `      - '${line}'\n`).join('')}`
  })
  const sha = await repository.commit({ files: { '.belay.yml': `steps:\n${steps.join('')}` }, message: 'long' })
  const { status, body } = await postPush({
    url: `${cluster.urlOf('server-a')}/hooks/flood`,
    secret: cluster.hookSecret,
    sha,
    message: 'long',
  })
  if (status !== 202) throw new Error(`the push was answered ${String(status)}`)
  return (body as { run: { id: string } }).run.id
}

function readNotes(cluster: Cluster): string[] {
  const file = join(cluster.notes, 'steps')
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
}

/** Steps that were begun again after their end. */
function countRedone(cluster: Cluster): number {
  const ended = new Set<string>()
  let redone = 0
  for (const line of readNotes(cluster)) {
    const [what, step = ''] = line.split(' ')
    if (what === 'begin' && ended.has(step)) redone += 1
    if (what === 'end') ended.add(step)
  }
  return redone
}
