/** A runner with everything round it but Temporal: real Git, real workspaces, the server's API on a socket. For tests. */
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenedWorkspace, SegmentInput } from '../../contract/activities.ts'
import type { PlanStep } from '../../domain/plan.ts'
import type { Builder } from '../../drivers/builders/builder.ts'
import type { StepLimits } from '../../process/cgroup-limits.ts'
import { findCgroups } from '../../process/find-cgroups.ts'
import { createRunner, type Runner } from '../create-runner.ts'
import type { Task } from '../runner-deps.ts'
import { createServerClient } from '../server-client.ts'
import { openRunnerGroups } from '../step-groups.ts'
import { stopWith, type StopReason } from '../stop.ts'
import { createWorkspaces } from '../workspace/workspaces.ts'
import { planOf, runOf } from './plan.ts'
import { startRunnerApiDouble, type LogDouble, type RunnerApiDouble } from './runner-api-double.ts'
import { silentLog, waitFor } from './wait-for.ts'

export const benchPlanDigest = `sha256:${'a'.repeat(64)}`

export interface RunnerBench {
  readonly place: string
  readonly server: RunnerApiDouble
  /** The run that everything below is about; set another to go on with a second one. */
  runId: string
  /** Another life of the runner, on the same directories. */
  createRunner(): Runner
  open(runner: Runner, epoch?: number): Promise<OpenedWorkspace>
  segment(over?: Partial<SegmentInput>): SegmentInput
  givePlan(steps: PlanStep[]): void
  checkout(): string
  /** By `<step>/<attempt>/<part>`. */
  log(key: string): LogDouble | undefined
  whenClosed(key: string): Promise<void>
  stop(): Promise<void>
}

export interface RunnerBenchOptions {
  repository: { url: string; sha: string }
  builders: readonly Builder[]
  /** What a step may use; given, steps run in real cgroups. */
  limits?: StepLimits
}

export async function startRunnerBench({ repository, builders, limits }: RunnerBenchOptions): Promise<RunnerBench> {
  const place = mkdtempSync(join(tmpdir(), 'belay-runner-'))
  const server = await startRunnerApiDouble()
  const runners: Runner[] = []
  const bench: RunnerBench = {
    place,
    server,
    runId: randomUUID(),
    createRunner() {
      const client = createServerClient({ serverUrl: server.url, token: 'runner-token' })
      mkdirSync(join(place, 'runner'), { recursive: true })
      const workspaces = createWorkspaces({
        workspaces: join(place, 'work'),
        mirrors: join(place, 'mirrors'),
        fetchArtifact: async (digest) => await client.fetchArtifact(digest),
      })
      const runner = createRunner({
        name: 'r1',
        slots: 2,
        labels: ['linux'],
        directory: join(place, 'runner'),
        images: join(place, 'images'),
        buildEnv: { PATH: process.env['PATH'] ?? '' },
        workspaces,
        ...(limits === undefined ? {} : { groups: openRunnerGroups(join(place, 'runner'), findCgroups(), limits) }),
        builders,
        server: client,
        path: process.env['PATH'] ?? '',
        graceMs: 1_000,
        runUrl: (id) => `https://belay.example/runs/${id}`,
        log: silentLog,
      })
      runners.push(runner)
      return runner
    },
    async open(runner, epoch = 1) {
      const workspace = { runId: bench.runId, epoch }
      const from = { project: 'shop', url: repository.url }
      return await runner.openWorkspace({ workspace, repository: from, sha: repository.sha, artifacts: [] }, createTask())
    },
    segment: (over = {}) => ({
      workspace: { runId: bench.runId, epoch: 1 },
      run: runOf(bench.runId, repository.sha),
      planDigest: benchPlanDigest,
      segment: 0,
      outcomes: [],
      interruptions: {},
      ...over,
    }),
    givePlan: (steps) => void server.plans.set(benchPlanDigest, planOf(steps)),
    checkout: () => join(place, 'work', bench.runId, 'checkout'),
    log: (key) => server.logs.get(key),
    whenClosed: async (key) => await waitFor(() => server.logs.get(key)?.closed === true),
    async stop() {
      for (const runner of runners) {
        await runner.drain()
        await runner.stop()
      }
      await server.stop()
      rmSync(place, { recursive: true, force: true })
    },
  }
  return bench
}

/** A Temporal activity, as the runner sees one. */
export function createTask(): Task & { stop(reason: StopReason): void } {
  const controller = new AbortController()
  const stop = (reason: StopReason) => stopWith(controller, reason)
  return { token: 'dG9rZW4=', signal: controller.signal, progress: () => undefined, confirm: () => Promise.resolve(true), stop }
}
