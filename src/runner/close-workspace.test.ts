import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { closeWorkspace } from './close-workspace.ts'
import { createInFlight } from './in-flight.ts'
import { createJournals } from './journal.ts'
import { createRunStops } from './run-stops.ts'
import { createWorkspaces } from './workspace/workspaces.ts'

describe('close-workspace', () => {
  const runId = randomUUID()
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'belay-close-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  function createDeps() {
    const stops = createRunStops()
    stops.stop(runId)
    const journals = createJournals(join(directory, 'journal'))
    const workspaces = createWorkspaces({
      ...{ workspaces: join(directory, 'work'), mirrors: join(directory, 'mirrors') },
      fetchArtifact: () => Promise.reject(new Error('nothing is fetched')),
    })
    return { stops, journals, workspaces, inFlight: createInFlight() }
  }

  it('lets the run begin anew here also when its directory cannot be removed', async () => {
    const deps = createDeps()
    const remove = () => Promise.reject(new Error('in use'))
    await expect(closeWorkspace({ ...deps, workspaces: { ...deps.workspaces, remove } }, { runId })).rejects.toThrow('in use')
    expect(deps.stops.isStopped(runId)).toBe(false)
  })

  it('starts no further step where another epoch goes on in the directory', async () => {
    const deps = createDeps()
    await closeWorkspace(deps, { runId, keep: true })
    expect(deps.stops.isStopped(runId)).toBe(true)
  })

  it('ends nothing that has begun under a later epoch than the one it was to end', async () => {
    const deps = createDeps()
    deps.journals.begin({ runId, epoch: 1, work: 'segment', token: 'eA==' })
    deps.journals.begin({ runId, epoch: 2, work: 'opening', token: 'eA==' })
    const entry = deps.inFlight.enter({ runId, epoch: 2, name: 'opening' })
    await closeWorkspace(deps, { runId, upTo: 1 })
    expect(entry.signal.aborted).toBe(false)
    expect(deps.journals.list(runId)).toHaveLength(2)
    entry.leave()
    await closeWorkspace(deps, { runId, upTo: 2 })
    expect(readdirSync(join(directory, 'journal'))).toEqual([])
  })

  it('leaves what begins under a later epoch while it removes', async () => {
    const deps = createDeps()
    deps.journals.begin({ runId, epoch: 1, work: 'segment', token: 'eA==' })
    const remove = async (id: string, upTo?: number) => {
      deps.journals.begin({ runId, epoch: 2, work: 'opening', token: 'eA==' })
      await deps.workspaces.remove(id, upTo)
    }
    await closeWorkspace({ ...deps, workspaces: { ...deps.workspaces, remove } }, { runId })
    expect(deps.journals.list(runId).map(({ begun }) => begun.epoch)).toEqual([2])
  })
})
