import { loadConfig } from '../../config/load-config.ts'
import { rulesOfProject } from '../../config/rules-of-project.ts'
import { environmentsOf, type EnvValue } from '../../domain/plan.ts'
import { BelayError } from '../../domain/errors.ts'
import type { PipelineDocument } from '../../pipeline/document.ts'
import type { ProjectRules } from '../../pipeline/project-rules.ts'
import type { Io } from '../io.ts'

/** What the operator's configuration allows this project. Throws `invalid_input` if it is not clear which one is meant. */
export async function rulesOfConfig(io: Io, file: string, named: string | undefined): Promise<ProjectRules> {
  const { config } = await loadConfig({ file, env: io.env, cwd: io.cwd })
  const names = Object.keys(config.projects)
  const project = config.projects[named ?? (names.length === 1 ? (names[0] ?? '') : '')]
  if (project === undefined) {
    const message = named === undefined ? 'which project is this?' : `there is no project "${named}" in ${file}`
    throw new BelayError({ code: 'invalid_input', message, hint: `Name one with --project: ${names.join(', ')}.` })
  }
  return rulesOfProject(config, project)
}

/** Without a configuration a pipeline may have all it asks for: its environments, secrets and registries are taken to be there. */
export function assumedRules(document: PipelineDocument): ProjectRules {
  const environments = document.steps.flatMap(({ body }) => (body.kind === 'deploy' ? environmentsOf(body.deploy) : []))
  const bound = [
    ...document.steps.flatMap(({ spec }) => [spec.env, spec.undo?.env]),
    ...document.finally.map(({ spec }) => spec.env),
    document.env,
  ]
  const values: EnvValue[] = bound.flatMap((env) => Object.values(env ?? {}))
  const builds = document.steps.flatMap(({ body }) =>
    body.kind === 'build_image' && body.buildImage.builder !== 'pack' ? [body.buildImage] : [],
  )
  const secrets = [
    ...values.flatMap((value) => ('secret' in value ? [value.secret] : [])),
    ...builds.flatMap((build) => Object.values(build.secrets ?? {}).map(({ from_secret: secret }) => secret)),
  ]
  const registries = builds.flatMap(({ repository }) => (repository.includes('/') ? [repository.split('/')[0] ?? ''] : []))
  return {
    project: 'local',
    environments: [...new Set(environments)],
    secrets: [...new Set(secrets)],
    registries: [...new Set(registries)],
  }
}
