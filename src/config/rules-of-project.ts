import type { Config, EnvironmentConfig, ProjectConfig } from './config.ts'

/** What the operator allows a project's pipelines, as `ProjectRules` of the pipeline language has it. */
export function rulesOfProject(config: Config, project: ProjectConfig) {
  const environments = project.environments.flatMap((name) => config.environments[name] ?? [])
  const byName = <T>(map: (environment: EnvironmentConfig) => T): Record<string, T> =>
    Object.fromEntries(environments.map((environment) => [environment.name, map(environment)]))
  return {
    project: project.name,
    environments: [...project.environments],
    environmentTargets: byName(({ target }) => target),
    environmentHealth: byName(({ health }) => health),
    secrets: Object.values(config.secrets).flatMap(({ name, projects }) => (projects.includes(project.name) ? [name] : [])),
    registries: Object.keys(config.registries),
    source: project.repository,
  }
}
