// Long because an attempt is one story, from its secrets to its outcome: what it runs in, what it keeps, and how it may end.
/** One attempt of one step, undo or `finally`, from its secrets to its outcome. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BelayError, messageOf } from '../domain/errors.ts'
import type { BuildImage, Commands, EnvValue } from '../domain/plan.ts'
import type { RunIdentity } from '../domain/run.ts'
import type { StepChange } from '../domain/run-event.ts'
import type { Image, Outcome, StepResult } from '../domain/step.ts'
import type { StepGroup, StepGroups } from '../process/cgroup.ts'
import type { Builder, BuildImageInput } from '../drivers/builders/builder.ts'
import { chooseBuilder } from '../drivers/builders/choose-builder.ts'
import { faultPoint } from '../process/fault-point.ts'
import type { RegistryAccess } from '../registry/registry.ts'
import { groupNameOf, limitsOf } from './attempt-group.ts'
import { endingOf, isDoubtful, stopped, timedOut, withStruck, type Ending } from './attempt-outcome.ts'
import type { Journal } from './journal.ts'
import { keepCheckpoint } from './checkpoint/keep-checkpoint.ts'
import type { Quiet } from './checkpoint/quiet.ts'
import { keepArtifacts } from './keep-artifacts.ts'
import type { LogShipper } from './log-shipper.ts'
import { createMask, type Mask } from './masker.ts'
import { resolveEnv, type ResolvedEnv } from './resolve-env.ts'
import { hasCode } from './retry.ts'
import { runCommand } from './run-command.ts'
import type { SegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'
import { composeEnvironment } from './step-environment.ts'
import { createStepLog, type StepLog } from './step-log.ts'
import { stopReasonOf } from './stop.ts'
import type { ArtifactSpec, StepUser, WorkspaceDirs, Workspaces } from './workspace/workspaces.ts'

export interface AttemptDeps {
  server: ServerClient
  shipper: LogShipper
  workspaces: Pick<Workspaces, 'collectArtifacts'>
  builders: readonly Builder[]
  /** Where image layouts lie. */
  images: string
  /** Where builds keep what only they may read while they last: 0700, outside all workspaces. */
  scratch: string
  /** Environment of the programs that build images. */
  buildEnv: Readonly<Record<string, string>>
  /** PATH of the steps. */
  path: string
  user?: StepUser | undefined
  graceMs: number
  /** The cgroups of steps; absent: there are none here. */
  groups?: Pick<StepGroups, 'create' | 'endAll'> | undefined
  /** Steps that run, and checkpoints. */
  quiet: Quiet
  runUrl(runId: string): string
}

export interface AttemptInput {
  run: RunIdentity
  pipeline: string
  planDigest: string
  epoch: number
  step: string
  attempt: number
  part: 'step' | 'undo' | 'finally'
  does: { commands: Commands } | { buildImage: BuildImage }
  env: Readonly<Record<string, EnvValue>>
  timeoutMs: number
  artifacts?: ArtifactSpec | undefined
  /** The workspace is stored once it has succeeded, with the work of these steps. */
  checkpoint?(): string[]
  dirs: WorkspaceDirs
  session: SegmentSession
  journal: Journal
  signal: AbortSignal
  /** Is the work still ours? Asked before a process of it begins. */
  confirm(): Promise<boolean>
  /** Called once the attempt counts as started. */
  running?(change: StepChange): void
}

/**
 * The outcome as it is, no retry decided; undefined if it was interrupted and has to run again. Nothing of its processes is
 * left. Throws `stale` if the server knows a newer epoch, and what the journal throws.
 */
export async function runAttempt(deps: AttemptDeps, input: AttemptInput): Promise<Outcome | undefined> {
  const { step, attempt, epoch } = input
  const resolved = await resolveOrEnd(deps, input)
  if (resolved === 'interrupted') return undefined
  if ('status' in resolved) return { step, attempt, epoch, endedAt: Date.now(), ...resolved }

  const { registry } = resolved
  const mask = createMask({
    ...resolved.secrets,
    ...(registry?.password === undefined ? {} : { [`registries.${registry.name}`]: registry.password }),
  })
  const startedAt = Date.now()
  input.journal.started(step, attempt)
  // From here on the watchdog would mark it; what was before that it cannot know.
  if (!(await input.confirm())) {
    input.journal.interrupted(step)
    return undefined
  }
  input.running?.({ step, attempt, epoch, status: 'running', startedAt })
  const { run, planDigest, part } = input
  const log = createStepLog(deps.shipper.open({ runId: run.id, planDigest, step, attempt, epoch, part }, input.session), mask)
  const { ending, result } = await carryOut({ deps, input, log, own: resolved.env, registry }).catch((error: unknown) => {
    log.end()
    throw error
  })
  const wasCut = await wasLost(input, ending)
  if (ending === 'interrupted' || wasCut) {
    log.note(`cut off: ${wasCut ? 'the watchdog ended it, as nothing was heard of this runner' : whyStopped(input.signal)}`)
    log.end()
    input.journal.interrupted(step, wasCut ? 'watchdog' : undefined)
    return undefined
  }
  if (ending.status !== 'succeeded' && ending.reason !== undefined) log.note(ending.reason)
  log.end()
  return composeOutcome({ input, startedAt, ending, result, mask, log })
}

/**
 * Has the watchdog ended it? One that ended well all the same counts if the work is still ours: of one that ended while we stood still
 * for long, somebody else may have been given it.
 */
async function wasLost({ journal, step, attempt, confirm }: AttemptInput, ending: Ending): Promise<boolean> {
  if (!journal.wasCut(step, attempt)) return false
  if (isDoubtful(ending)) return true
  return ending !== 'interrupted' && ending.status === 'succeeded' && !(await confirm())
}

function whyStopped(signal: AbortSignal): string {
  return stopReasonOf(signal) === 'drained' ? 'the runner is being stopped' : 'the workspace was given out again'
}

interface Work {
  deps: AttemptDeps
  input: AttemptInput
  log: StepLog
  /** The step's own variables; of a build its secrets, by their id. */
  own: Record<string, string>
  registry: RegistryAccess | undefined
  group?: StepGroup | undefined
}
interface Done {
  ending: Ending
  result?: StepResult
}

/** Secrets come before `started`: waiting for the server is no interruption of the step. */
async function resolveOrEnd(deps: AttemptDeps, input: AttemptInput): Promise<ResolvedEnv | Ending> {
  const { session, timeoutMs } = input
  const wanted = wantedBy(input)
  const limit = AbortSignal.timeout(Math.min(timeoutMs, 2 ** 31 - 1))
  try {
    return await resolveEnv({
      ...wanted,
      name: input,
      session,
      server: deps.server,
      signal: AbortSignal.any([input.signal, limit]),
    })
  } catch (error) {
    const reason = stopReasonOf(input.signal)
    if (reason !== undefined) return stopped(reason)
    if (limit.aborted) return { ...timedOut(timeoutMs), reason: `${timedOut(timeoutMs).reason}, waiting for its secrets` }
    if (hasCode(error, 'stale')) throw error
    return { status: 'errored', reason: reasonOf(error) }
  }
}

function wantedBy({ does, env }: AttemptInput): { env: AttemptInput['env']; registry?: boolean } {
  if ('commands' in does) return { env }
  const { buildImage } = does
  const secrets = 'secrets' in buildImage ? Object.entries(buildImage.secrets) : []
  return { env: Object.fromEntries(secrets.map(([id, secret]) => [id, { secret }])), registry: buildImage.registry !== undefined }
}

/** In a cgroup of its own, which ends with it: with all that it has left running, wherever that has gone. */
async function carryOut(work: Work): Promise<Done> {
  const { deps, input, log } = work
  if (input.attempt > 1 && input.part === 'step') log.note('a further attempt: the workspace is as the last one left it')
  let group: StepGroup | undefined
  try {
    group = deps.groups?.create(groupNameOf({ ...input, runId: input.run.id }))
    const does = { ...work, group }
    const done =
      'commands' in input.does ? await runLines(does, input.does.commands) : await runBuild(does, input.does.buildImage)
    const struck = limitsOf(group)
    if (done.ending !== 'interrupted') done.ending = withStruck(done.ending, struck)
    // It has coped; whoever reads its log may wonder why something in it did not work.
    if (done.ending !== 'interrupted' && done.ending.status === 'succeeded') for (const message of struck) log.note(message)
    if (done.ending === 'interrupted' || done.ending.status !== 'succeeded') return done
    const kept = input.artifacts === undefined ? done : await keepDeclared(work, done, input.artifacts)
    return await withCheckpoint(work, kept)
  } catch (error) {
    const reason = stopReasonOf(input.signal)
    if (reason !== undefined) return { ending: stopped(reason) }
    if (hasCode(error, 'stale')) throw error
    const struck = limitsOf(group)
    // A program of a build that is killed like that is the step's own fault, whatever the builder makes of it.
    const status = struck.length > 0 ? 'failed' : 'errored'
    return { ending: withStruck({ status, reason: reasonOf(error) }, struck) }
  } finally {
    await group?.end()
  }
}

async function runLines({ deps, input, log, own, group }: Work, commands: Commands): Promise<Done> {
  const { dirs, timeoutMs, signal } = input
  const env = composeEnvironment({ ...input, own, path: deps.path, runUrl: deps.runUrl(input.run.id) })
  const end = await runCommand({
    commands,
    dirs,
    env,
    user: deps.user,
    group,
    timeoutMs,
    graceMs: deps.graceMs,
    signal,
    output: (chunk) => log.write(chunk),
    spawned(identity) {
      input.journal.spawned(input.step, identity)
      // Before there was anything to kill; now it is ours to end it.
      if (input.journal.wasCut(input.step, input.attempt)) throw cutBefore()
    },
  })
  return { ending: endingOf(end, commands.lines, timeoutMs) }
}

function cutBefore(): BelayError {
  return new BelayError({ code: 'unavailable', message: 'the watchdog ended the step before it began', retryable: true })
}

async function runBuild({ deps, input, log, own, registry, group }: Work, written: BuildImage): Promise<Done> {
  const limit = AbortSignal.timeout(Math.min(input.timeoutMs, 2 ** 31 - 1))
  const signal = AbortSignal.any([input.signal, limit])
  mkdirSync(deps.scratch, { recursive: true, mode: 0o700 })
  const scratch = mkdtempSync(join(deps.scratch, 'build-'))
  // An image of `pack` is the same however often it is built; the others differ anyhow, and so can say who made them.
  const build = written.builder === 'pack' ? written : { ...written, labels: { ...written.labels, 'belay.run': input.run.id } }
  try {
    const image = await buildWith(deps.builders, {
      build,
      workspace: input.dirs.checkout,
      images: deps.images,
      scratch,
      ...(registry === undefined ? {} : { registry }),
      secrets: own,
      env: deps.buildEnv,
      log: (line) => log.write(Buffer.from(`${line}\n`)),
      spawned: (identity) => input.journal.spawned(input.step, identity),
      group,
      signal,
    })
    faultPoint('image.pushed')
    return { ending: { status: 'succeeded' }, result: { image } }
  } catch (error) {
    if (stopReasonOf(input.signal) === undefined && limit.aborted) return { ending: timedOut(input.timeoutMs) }
    // The builder understood and said no: that is the step's failure, not ours.
    if (hasCode(error, 'refused')) return { ending: { status: 'failed', reason: reasonOf(error) } }
    throw error
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function buildWith(builders: readonly Builder[], input: BuildImageInput): Promise<Image> {
  return (await chooseBuilder(builders, input)).build(input)
}

async function keepDeclared({ deps, input, log }: Work, done: Done, spec: ArtifactSpec): Promise<Done> {
  const { dirs, session, signal } = input
  try {
    const artifacts = await deps.workspaces.collectArtifacts(dirs, spec)
    if (artifacts.length > mostArtifacts) throw tooManyArtifacts(artifacts.length)
    await keepArtifacts({ checkout: dirs.checkout, artifacts, session, server: deps.server, signal })
    log.note(`kept ${String(artifacts.length)} artifact${artifacts.length === 1 ? '' : 's'}`)
    return { ...done, result: { ...done.result, artifacts } }
  } catch (error) {
    if (hasCode(error, 'refused', 'too_large')) return { ending: { status: 'failed', reason: reasonOf(error) } }
    throw error
  }
}

/** One that cannot be stored is said in the log: the step has succeeded all the same. */
async function withCheckpoint({ deps, input, log }: Work, done: Done): Promise<Done> {
  const { dirs, session, signal, checkpoint: steps } = input
  if (steps === undefined || done.ending === 'interrupted' || done.ending.status !== 'succeeded') return done
  try {
    const place = { runId: input.run.id, dirs, scratch: deps.scratch, quiet: deps.quiet }
    const kept = await keepCheckpoint({ ...place, session, server: deps.server, steps, signal })
    if (kept === undefined) return done
    log.note(`checkpoint: ${String(kept.entries)} files, ${String(kept.sizeBytes)} bytes`)
    return { ...done, result: { ...done.result, checkpoint: kept.checkpoint } }
  } catch (error) {
    if (stopReasonOf(signal) !== undefined || hasCode(error, 'stale')) throw error
    log.note(`no checkpoint: ${reasonOf(error)}`)
    return done
  }
}

/** Their names and digests travel in the outcome, which has to fit into one message of 2 MiB. */
const mostArtifacts = 2_000

function tooManyArtifacts(count: number): BelayError {
  return new BelayError({
    code: 'too_large',
    message: `${String(count)} files match \`artifacts\`, and ${String(mostArtifacts)} are the most a step can keep`,
    hint: 'Pack them into an archive, and keep that.',
  })
}

function reasonOf(error: unknown): string {
  const hint = error instanceof BelayError && error.hint !== undefined ? ` ${error.hint}` : ''
  return `${messageOf(error)}${hint}`
}

interface OutcomeParts {
  input: AttemptInput
  startedAt: number
  ending: Exclude<Ending, 'interrupted'>
  result: StepResult | undefined
  mask: Mask
  log: StepLog
}

function composeOutcome({ input, startedAt, ending, result, mask, log }: OutcomeParts): Outcome {
  const good = ending.status === 'succeeded'
  const { reason, ...rest } = ending
  return {
    step: input.step,
    attempt: input.attempt,
    epoch: input.epoch,
    startedAt,
    endedAt: Date.now(),
    ...rest,
    ...(reason === undefined ? {} : { reason: mask.maskText(reason) }),
    ...(good ? {} : { tail: log.tail() }),
    ...(result === undefined ? {} : { result }),
  }
}
