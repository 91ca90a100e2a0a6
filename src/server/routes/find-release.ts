import type { Config } from '../../config/config.ts'
import { BelayError } from '../../domain/errors.ts'
import type { Release } from '../../domain/release.ts'
import { Digest } from '../../domain/step.ts'
import type { Store } from '../../store/store.ts'

interface Wanted {
  environment: string
  /** Number (`3`, `#3`) or image digest. */
  release: string
  project?: string | undefined
}

/** The release that a person means, of a project whose releases may go into this environment. */
export async function loadReleaseFor({ config, store }: { config: Config; store: Store }, wanted: Wanted): Promise<Release> {
  const projects = projectsFor(config, wanted)
  const release = refuseRemoved(await loadWanted(store, projects, wanted))
  return refuseUnreachable(config, wanted.environment, release)
}

/** Its image may still be there, but not for long. */
function refuseRemoved(release: Release): Release {
  if (release.removedAt === undefined) return release
  throw new BelayError({
    code: 'refused',
    message: `release ${String(release.number)} of ${release.project} was cleaned up: its image and artifacts are not kept any longer`,
    hint: 'Run its branch again. How long they are kept is `keep.artifacts` in the configuration.',
  })
}

/** A container engine takes images from registries only. */
function refuseUnreachable(config: Config, environment: string, release: Release): Release {
  const { registry, repository } = release.image
  const isDocker = config.environments[environment]?.target === 'docker'
  if (!isDocker || (registry !== undefined && Object.hasOwn(config.registries, registry))) return release
  const where = registry === undefined ? 'is in no registry' : `is in the registry ${registry}, which is not configured`
  throw new BelayError({
    code: 'refused',
    message: `release ${String(release.number)} of ${release.project} cannot run in ${environment}: its image ${repository} ${where}, and the target docker takes images from registries only`,
    hint: 'Build it with a repository that begins with the name of one of `registries`.',
  })
}

async function loadWanted(store: Store, projects: readonly string[], wanted: Wanted): Promise<Release> {
  if (Digest.safeParse(wanted.release).success) return loadByDigest(store, projects, wanted)
  const number = /^#?([1-9]\d{0,8})$/.exec(wanted.release)?.[1]
  if (number === undefined) {
    throw new BelayError({
      code: 'invalid_input',
      message: `${JSON.stringify(wanted.release)} is neither the number of a release nor the digest of an image`,
      hint: '`belay releases` lists them.',
    })
  }
  const [project, ...others] = projects
  if (project === undefined || others.length > 0) {
    throw new BelayError({
      code: 'invalid_input',
      message: `release ${number} of which project? ${projects.join(', ')} deploy to ${wanted.environment}`,
      hint: 'Name it: `--project`, in the API `"project"`.',
    })
  }
  const found = await store.releases.findByNumber(project, Number(number))
  if (found === undefined) throw unknown(wanted.release, [project])
  return found
}

async function loadByDigest(store: Store, projects: readonly string[], { release }: Wanted): Promise<Release> {
  const found = await Promise.all(projects.map((project) => store.releases.findByDigest(project, release)))
  const [newest] = found.filter((one) => one !== undefined).toSorted((a, b) => b.createdAt - a.createdAt)
  if (newest === undefined) throw unknown(release, projects)
  return newest
}

/** At least one, or it throws. */
function projectsFor(config: Config, { environment, project }: Wanted): string[] {
  const all = Object.values(config.projects)
  const names = all.filter(({ environments }) => environments.includes(environment)).map(({ name }) => name)
  if (project === undefined && names.length > 0) return names
  if (project !== undefined && names.includes(project)) return [project]
  if (project !== undefined && !Object.hasOwn(config.projects, project)) {
    throw new BelayError({
      code: 'not_found',
      message: `there is no project ${JSON.stringify(project)}`,
      hint: `Known: ${Object.keys(config.projects).join(', ') || 'none'}.`,
    })
  }
  throw new BelayError({
    code: 'forbidden',
    message: project === undefined ? `no project deploys to ${environment}` : `${project} may not deploy to ${environment}`,
    hint: `A project's \`environments\` in the configuration say where it may deploy to.`,
  })
}

function unknown(release: string, projects: readonly string[]): BelayError {
  return new BelayError({
    code: 'not_found',
    message: `${projects.join(', ')}: there is no release ${release}`,
    hint: '`belay releases` lists them.',
  })
}
