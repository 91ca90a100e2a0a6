import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import type { StartRun } from '../../api/run-schemas.ts'
import type { Config, ProjectConfig } from '../../config/config.ts'
import { BelayError } from '../../domain/errors.ts'
import { faultPoint } from '../../process/fault-point.ts'
import type { Run } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { resolveBranch } from '../git-remote.ts'
import { viewOf } from '../run-view.ts'
import { mount } from './mount.ts'

/** A person starts a run. The same Idempotency-Key by the same token gives the same run. */
export function mountStartRun(app: FastifyInstance, { config, store }: RouteDeps): void {
  mount(app, routes.startRun, async ({ body, caller, idempotencyKey }) => {
    const project = loadProject(config, body.project)
    const branch = branchOf(body)
    const actor = actorOf(caller)
    const head = await resolveBranch({ repository: project.repository, branch })
    const sha = body.sha ?? head.sha
    await store.audit.write({ actor: actor.id, action: 'run.start', subject: project.name, data: { branch: head.branch, sha } })
    faultPoint('start.asked')
    const run = await store.runs.start({
      project: project.name,
      trigger: {
        event: 'manual',
        source: 'api',
        ref: `refs/heads/${head.branch}`,
        branch: head.branch,
        sha,
        actor,
        title: `started by ${actor.name}`,
      },
      key: `${actor.id}/${idempotencyKey ?? randomUUID()}`,
      ...(body.pipeline === undefined ? {} : { pipeline: body.pipeline }),
    })
    faultPoint('start.persisted')
    refuseOtherRun(run, { branch: head.branch, sha: body.sha, pipeline: body.pipeline })
    return viewOf(config, run)
  })
}

function loadProject(config: Config, name: string): ProjectConfig {
  const project = Object.hasOwn(config.projects, name) ? config.projects[name] : undefined
  if (project !== undefined) return project
  throw new BelayError({
    code: 'not_found',
    message: `there is no project ${JSON.stringify(name)}`,
    hint: `Known: ${Object.keys(config.projects).join(', ') || 'none'}.`,
  })
}

/** Undefined: the default branch. */
function branchOf({ branch, ref }: StartRun): string | undefined {
  if (ref === undefined) return branch
  const prefix = 'refs/heads/'
  if (ref.startsWith(prefix)) return ref.slice(prefix.length)
  throw new BelayError({
    code: 'not_yet',
    message: `a run of ${JSON.stringify(ref)}: not yet`,
    hint: 'Only refs/heads/… can be run.',
  })
}

/** The key was used before: for the same thing it is a repeat, for another a mistake. The branch's head may have moved. */
function refuseOtherRun(run: Run, asked: { branch: string; sha: string | undefined; pipeline: string | undefined }): void {
  const isSame =
    run.trigger.branch === asked.branch &&
    (asked.sha === undefined || run.trigger.sha === asked.sha) &&
    run.pipeline === asked.pipeline
  if (isSame) return
  throw new BelayError({
    code: 'conflict',
    message: `this Idempotency-Key started another run: number ${String(run.number)}`,
    hint: 'Use a new key for a new request.',
  })
}
