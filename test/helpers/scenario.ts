/** A whole Belay on a repository served by a real Git server, for tests of whole paths: one system, a branch per pipeline. */
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunDetail } from '../../src/api/run-schemas.ts'
import type { StepChange, StoredRunEvent } from '../../src/domain/run-event.ts'
import { isEndedRun } from '../../src/domain/run.ts'
import type { CommittedFile, GitRepository } from './git-repository.ts'
import { startGitServer, type GitServer } from './git-server.ts'
import { sampleProgram } from './sample-app.ts'
import { startSystem, type System, type SystemOptions } from './system.ts'
import { until } from './until.ts'

export interface Scenario {
  system: System
  git: GitServer
  repository: GitRepository
  /** A directory that every step may write into, outside of all workspaces. */
  notes: string
  /** Commits the pipeline, to a branch of its own unless one is named. */
  commit(pipeline: string, options?: CommitOptions): Promise<Committed>
  /** Commits and pushes; gives the run that was made of it. */
  start(pipeline: string, options?: CommitOptions): Promise<Committed & { id: string; number: number }>
  /** The run once it has ended. */
  end(runId: string): Promise<RunDetail>
  /** Commits, pushes, and waits for the end. */
  run(pipeline: string, options?: CommitOptions): Promise<RunDetail>
  /** The lines of a file in `notes`; none if it is not there. */
  readNote(name: string): string[]
  /** Resolves once a step has written that note. */
  noted(name: string): Promise<string[]>
  /** All events of the run so far. */
  events(runId: string): Promise<StoredRunEvent[]>
  stop(): Promise<void>
}

export interface CommitOptions {
  branch?: string
  files?: Record<string, CommittedFile>
  message?: string
}

export interface Committed {
  sha: string
  branch: string
}

export async function startScenario(options: Omit<SystemOptions, 'repository'> = {}): Promise<Scenario> {
  const git = await startGitServer()
  const repository = await git.createRepository('hello')
  await repository.commit({ files: { 'app.cjs': sampleProgram }, message: 'the first one' })
  const system = await startSystem({ ...options, repository }).catch(async (error: unknown) => {
    await git.stop()
    throw error
  })
  const notes = join(system.directory, 'notes')
  mkdirSync(notes)
  chmodSync(notes, 0o777)
  let branches = 0

  const scenario: Scenario = {
    system,
    git,
    repository,
    notes,
    async commit(pipeline, { branch = `branch-${String((branches += 1))}`, files = {}, message = 'a commit' } = {}) {
      // NOTES stands for the directory: a pipeline has no other way to learn its name.
      const text = pipeline.replaceAll('NOTES', notes)
      return { branch, sha: await repository.commit({ files: { '.belay.yml': text, ...files }, message, branch }) }
    },
    async start(pipeline, more) {
      const committed = await scenario.commit(pipeline, more)
      const run = await system.push(committed.sha, more?.message ?? 'a commit', { branch: committed.branch })
      return { ...committed, ...run }
    },
    end: (runId) =>
      until(
        'the run ends',
        async () => {
          const run = await system.client.getRun({ id: runId })
          return isEndedRun(run.status) || run.status === 'rollback_blocked' ? run : undefined
        },
        120_000,
      ),
    async run(pipeline, more) {
      return scenario.end((await scenario.start(pipeline, more)).id)
    },
    readNote(name) {
      const file = join(notes, name)
      return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
    },
    noted: (name) =>
      until(`a step writes the note ${name}`, () => {
        const lines = scenario.readNote(name)
        return lines.length > 0 && lines[0] !== '' ? lines : undefined
      }),
    async events(runId) {
      const { items } = await system.client.listRunEvents({ id: runId }, { limit: 1000 })
      return items
    },
    async stop() {
      await system.stop()
      await git.stop()
    },
  }
  return scenario
}

/** `step: status` of each attempt, in the order in which the steps were written. */
export function outline(run: RunDetail): string[] {
  return run.steps
    .toSorted((a, b) => placeOf(run, a) - placeOf(run, b) || a.attempt - b.attempt)
    .map(({ step, status }) => `${step}: ${status}`)
}

function placeOf(run: RunDetail, { step }: StepChange): number {
  const ids = [...(run.plan?.steps.map(({ id }) => id) ?? []), ...(run.plan?.finally ?? [])]
  return ids.indexOf(step)
}

/** The newest row of a step. */
export function loadStepRow(run: RunDetail, step: string): StepChange {
  const row = run.steps.filter((candidate) => candidate.step === step).at(-1)
  if (row === undefined) throw new Error(`the run has no step ${step}: ${outline(run).join(', ')}`)
  return row
}

export interface DeployingPipeline {
  version: string
  environment?: string
  /** How long the release is watched; default: not at all. */
  bake?: string
  /** Steps before the image, and after the deployment, indented by two. */
  before?: string
  after?: string
  /** Instead of the sample application. */
  entrypoint?: string
}

/** A pipeline that packs the sample application and deploys it. */
export function deploying(options: DeployingPipeline): string {
  const { version, environment = 'production', bake = '0s', before = '', after = '' } = options
  const entrypoint = options.entrypoint ?? `[node, /app/app.cjs, "${version}"]`
  return `steps:
${before}  image:
    build_image: { builder: pack, repository: hello/app, tags: ["\${{ sha }}"], files: { app.cjs: /app/app.cjs }, entrypoint: ${entrypoint} }
  ship:
    deploy:
      environment: ${environment}
      health: { http: /healthz, interval: 100ms, unhealthy_after: 2, timeout: 5s }
      bake: { for: ${bake} }
${after}`
}
