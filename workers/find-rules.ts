import type { Config } from '../src/config/config.ts'
import { rulesOfProject } from '../src/config/rules-of-project.ts'
import type { ProjectRules } from '../src/pipeline/project-rules.ts'

/** What a project's pipelines may use, by the operator's configuration. */
export function createFindRules(config: Config): (project: string) => ProjectRules | undefined {
  return (name) => {
    const project = Object.hasOwn(config.projects, name) ? config.projects[name] : undefined
    return project === undefined ? undefined : rulesOfProject(config, project)
  }
}
