import type { Config } from '../src/config/config.ts'
import type { ProjectRules } from '../src/pipeline/project-rules.ts'

/** What a project's pipelines may use, by the operator's configuration. */
export function createFindRules(config: Config): (project: string) => ProjectRules | undefined {
  return (name) => {
    const project = config.projects[name]
    if (project === undefined) return undefined
    const health = project.environments.flatMap((environment) => {
      const configured = config.environments[environment]
      return configured === undefined ? [] : [[environment, configured.health] as const]
    })
    return {
      project: name,
      environments: [...project.environments],
      environmentHealth: Object.fromEntries(health),
      secrets: Object.values(config.secrets).flatMap((secret) => (secret.projects.includes(name) ? [secret.name] : [])),
      registries: Object.keys(config.registries),
      source: project.repository,
    }
  }
}
