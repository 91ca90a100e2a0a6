/** From a delivery to its runs: one run per delivery and matching pipeline, whatever is away. */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunView } from '../../src/api/run-schemas.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import { startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

const simple = `steps: { only: { commands: ['echo "$BELAY_RUN_ID" >> NOTES/$BELAY_SHA'] } }\n`

let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario()
})

afterAll(() => scenario.stop())

async function runsOf(branch: string): Promise<RunView[]> {
  const { items } = await scenario.system.client.listRuns({ branch, limit: 200 })
  return items
}

/** The runs of a branch, once there are so many and all have ended. */
async function endedRuns(branch: string, count: number): Promise<RunView[]> {
  return until(`${String(count)} runs of ${branch} have ended`, async () => {
    const runs = await runsOf(branch)
    return runs.length >= count && runs.every(({ status }) => isEndedRun(status)) ? runs : undefined
  })
}

describe('with Temporal away', () => {
  test('a push that comes while it hangs is taken, and runs once when it is back', async () => {
    const { system } = scenario
    const { sha, branch } = await scenario.commit(simple)
    system.signal('temporal', 'SIGSTOP')
    let id: string
    try {
      id = (await system.push(sha, 'while it hangs', { branch })).id
      expect((await system.client.getRun({ id })).status).toBe('queued')
    } finally {
      system.signal('temporal', 'SIGCONT')
    }
    expect((await scenario.end(id)).status).toBe('succeeded')
    expect(await endedRuns(branch, 1)).toHaveLength(1)
    expect(scenario.readNote(sha)).toEqual([id])
  })

  test('a step that ends while it hangs is not run again, and the run goes on after it', async () => {
    const { system } = scenario
    const { id } = await scenario.start(`steps:
  first: { commands: [echo begun >> NOTES/hang, 'while [ ! -f NOTES/hangs ]; do sleep 0.1; done', echo ended >> NOTES/hang] }
  image:
    build_image: { builder: pack, repository: hello/app, tags: ['\${{ sha }}'], files: { app.cjs: /app/app.cjs }, entrypoint: [node] }
  second: { commands: [echo second >> NOTES/hang] }
`)
    await scenario.noted('hang')
    system.signal('temporal', 'SIGSTOP')
    try {
      writeFileSync(join(scenario.notes, 'hangs'), '')
      await until('the step ends', () => scenario.readNote('hang').length > 1)
    } finally {
      system.signal('temporal', 'SIGCONT')
    }
    expect((await scenario.end(id)).status).toBe('succeeded')
    expect(scenario.readNote('hang')).toEqual(['begun', 'ended', 'second'])
  })

  test('pushes that come right after it was killed are taken, and each runs once', async () => {
    const { system } = scenario
    const commits = [await scenario.commit(simple), await scenario.commit(simple), await scenario.commit(simple)]
    const killed = system.kill('temporal')
    const runs = []
    for (const { sha, branch } of commits) runs.push(await system.push(sha, 'right after the kill', { branch }))
    for (const [index, { sha, branch }] of commits.entries()) {
      const run = await scenario.end(runs[index]?.id ?? '')
      expect(run.status).toBe('succeeded')
      expect(await runsOf(branch)).toHaveLength(1)
      expect(scenario.readNote(sha)).toEqual([run.id])
    }
    expect(system.pid('temporal')).not.toBe(killed)
  })
})

describe('one delivery', () => {
  test('three times at once is one run', async () => {
    const { sha, branch } = await scenario.commit(simple)
    const post = () => scenario.system.post(sha, 'thrice', { branch, deliveryId })
    const deliveryId = randomUUID()
    const answers = await Promise.all([post(), post(), post()])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 202])
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
    const [run, ...others] = await endedRuns(branch, 1)
    expect(others).toEqual([])
    expect(run).toMatchObject({ status: 'succeeded' })
    expect(scenario.readNote(sha)).toEqual([run?.id])
  })

  test('that matches two pipelines of three gives each of the two exactly one run', async () => {
    const { sha, branch } = await scenario.commit('', {
      files: {
        '.belay.yml': null,
        '.belay/a.yml': `when: { branch: other }\nsteps: { s: { commands: ['false'] } }\n`,
        '.belay/b.yml': `steps: { s: { commands: ['true'] } }\n`,
        '.belay/c.yml': `name: third\nsteps: { s: { commands: ['true'] } }\n`,
      },
    })
    const { id } = await scenario.system.push(sha, 'two', { branch })
    const runs = await endedRuns(branch, 2)
    expect(runs.map(({ pipelineName, status }) => `${String(pipelineName)} ${status}`).toSorted()).toEqual([
      'b succeeded',
      'third succeeded',
    ])
    expect(runs.find((run) => run.id === id)?.pipelineName).toBe('b')
    await clear()
  })

  test('that matches no pipeline gives exactly one run, skipped, with the reason', async () => {
    const { sha, branch } = await scenario.commit('', {
      files: {
        '.belay.yml': null,
        '.belay/a.yml': `when: { branch: main }\nsteps: { s: { commands: ['false'] } }\n`,
        '.belay/b.yml': `when: { event: manual }\nsteps: { s: { commands: ['false'] } }\n`,
      },
    })
    await scenario.system.push(sha, 'none', { branch })
    const runs = await endedRuns(branch, 1)
    expect(runs).toMatchObject([{ status: 'skipped', reason: expect.stringMatching(/^a: .*branch.*; b: .*event/) }])
    await clear()
  })

  test('of a commit without a pipeline gives exactly one run, skipped', async () => {
    const { sha, branch } = await scenario.commit('', { files: { '.belay.yml': null } })
    await scenario.system.push(sha, 'no pipeline', { branch })
    expect(await endedRuns(branch, 1)).toMatchObject([{ status: 'skipped', reason: expect.stringContaining('no .belay.yml') }])
  })

  test('of a commit with a broken pipeline gives one run, errored, with line and column of all that is wrong', async () => {
    const run = await scenario.run(`steps:
  one: { comands: ['true'] }
  two: { needs: [nobody], commands: ['true'] }
`)
    expect(run).toMatchObject({ status: 'errored', steps: [] })
    expect(run.reason).toContain('.belay.yml:2:10')
    expect(run.reason).toContain('commands')
    expect(run.reason).toContain('.belay.yml:3:')
    expect(await runsOf(run.trigger.branch)).toHaveLength(1)
  })

  test('of a commit that the forge does not have gives one run, errored, with the reason', async () => {
    const branch = 'nowhere'
    await scenario.system.push('ab'.repeat(20), 'a commit from nowhere', { branch })
    const [run, ...others] = await endedRuns(branch, 1)
    expect(others).toEqual([])
    expect(run).toMatchObject({ status: 'errored', reason: expect.stringContaining('abababababab') })
  })
})

/** The next test's branch begins with these files; it has its own. */
async function clear(): Promise<void> {
  await scenario.commit(simple, { files: { '.belay/a.yml': null, '.belay/b.yml': null, '.belay/c.yml': null } })
}
