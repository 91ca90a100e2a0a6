import type { FastifyInstance } from 'fastify'
import { routes } from '../../api/routes.ts'
import type { ProjectView, RunnerView } from '../../api/operator-schemas.ts'
import type { Config, ProjectConfig } from '../../config/config.ts'
import { presenceTimeoutMs } from '../../contract/runner-api.ts'
import type { KnownRunner } from '../../store/store.ts'
import type { RouteDeps } from '../app.ts'
import { mount } from './mount.ts'

/** What there is: deliveries, releases, runners, projects, and who did what. */
export function mountLists(app: FastifyInstance, { config, store }: RouteDeps): void {
  mount(app, routes.listDeliveries, ({ query }) => store.deliveries.list(query))
  mount(app, routes.listReleases, ({ query }) => store.releases.list(query))
  mount(app, routes.listAudit, ({ query }) => store.audit.list(query))

  mount(app, routes.listRunners, async () => {
    const runners = await store.presence.list()
    return { items: runners.map((runner) => ({ ...runner, status: statusOf(runner) })) }
  })

  mount(app, routes.listProjects, () =>
    Promise.resolve({ items: Object.values(config.projects).map((project) => projectView(config, project)) }),
  )
}

function statusOf({ active, seenAt }: KnownRunner): RunnerView['status'] {
  return active && Date.now() - seenAt <= presenceTimeoutMs ? 'ACTIVE' : 'INACTIVE'
}

function projectView(config: Config, project: ProjectConfig): ProjectView {
  return {
    name: project.name,
    repository: project.repository,
    forge: project.forge,
    environments: [...project.environments],
    hookUrl: new URL(`/hooks/${project.name}`, config.publicUrl).href,
    hookSecret: project.webhookSecrets.length > 0,
    ...(project.pollMs === undefined ? {} : { pollMs: project.pollMs }),
  }
}
