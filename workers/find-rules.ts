import type { Config } from '../src/config/config.ts'
import type { RepositoryRef } from '../src/contract/run-workflow.ts'
import { rulesOfProject } from '../src/config/rules-of-project.ts'
import type { ProjectRules } from '../src/pipeline/project-rules.ts'

/** What a project's pipelines may use, by the operator's configuration. */
export function createFindRules(config: Config): (project: string) => ProjectRules | undefined {
  return (name) => {
    const project = findProject(config, name)
    return project === undefined ? undefined : rulesOfProject(config, project)
  }
}

/** Where a project's commits lie. */
export function createFindRepository(config: Config): (project: string) => RepositoryRef | undefined {
  return (name) => {
    const project = findProject(config, name)
    return project === undefined ? undefined : { project: name, url: project.repository }
  }
}

function findProject({ projects }: Config, name: string): Config['projects'][string] | undefined {
  return Object.hasOwn(projects, name) ? projects[name] : undefined
}
