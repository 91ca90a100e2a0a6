/** What the builders of Dockerfiles have in common: a context of their own, names in the registry, the digest read back. */
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import type { BuildDockerfile, BuildImage } from '../../domain/plan.ts'
import type { Image } from '../../domain/step.ts'
import { createRegistryClient } from '../../registry/create-registry-client.ts'
import type { RegistryAccess } from '../../registry/registry.ts'
import type { BuildImageInput } from './builder.ts'
import { copyContext, type CopiedContext } from './copy-context.ts'

/** Everything decided, nothing looked up: what the arguments are made of. */
export interface PreparedBuild extends CopiedContext {
  build: BuildDockerfile
  registry: RegistryAccess
  /** `HOST[:PORT]`, as it begins the names of images. */
  host: string
  /** Name in the registry. */
  name: string
  /** A tag that nobody else uses: what is read back by it is what was pushed just now. */
  uniqueTag: string
  /** Files with the values of secrets, by id. */
  secretFiles: Readonly<Record<string, string>>
  /** File of credentials, as `docker` and `buildah` read it. */
  authFile: string
}

export async function prepareBuild(input: BuildImageInput): Promise<PreparedBuild> {
  const { build, registry, scratch } = input
  const dockerfile = requireDockerfile(build)
  if (registry === undefined) throw new BelayError({ code: 'internal', message: 'the build has no registry' })
  const host = new URL(registry.url).host
  const secretFiles: Record<string, string> = {}
  await mkdir(join(scratch, 'secrets'), { mode: 0o700 })
  for (const [index, [id, value]] of Object.entries(input.secrets).entries()) {
    const file = join(scratch, 'secrets', String(index))
    await writeFile(file, value, { mode: 0o600 })
    secretFiles[id] = file
  }
  await mkdir(join(scratch, 'docker'), { mode: 0o700 })
  const authFile = join(scratch, 'docker', 'config.json')
  await writeFile(authFile, JSON.stringify(credentialsFile(host, registry)), { mode: 0o600 })
  return {
    ...{ build: dockerfile, registry, host, secretFiles, authFile },
    name: build.repository.split('/').slice(1).join('/'),
    ...(await copyContext({ ...input, context: dockerfile.context, dockerfile: dockerfile.dockerfile })),
    uniqueTag: `belay-${randomUUID()}`,
  }
}

/**
 * The registry's own answer: its digest for what was just pushed under a name that nobody else uses. The tags are given
 * there, to these very bytes: in an engine they would be names that another build moves meanwhile, and that nobody takes away.
 */
export async function tagPushed(
  prepared: PreparedBuild,
  { signal, log }: Pick<BuildImageInput, 'signal' | 'log'>,
): Promise<Image> {
  const { build, registry, name, uniqueTag } = prepared
  const client = createRegistryClient(registry, { signal, log })
  const found = await client.findManifest(name, uniqueTag)
  if (found === undefined) {
    throw new BelayError({ code: 'mismatch', message: `the registry "${registry.name}" does not have the image that was pushed` })
  }
  for (const tag of build.tags) await client.pushManifest(name, tag, found)
  log(`image ${build.repository}@${found.digest}${build.tags.map((tag) => `, tagged ${tag}`).join('')}`)
  return { repository: build.repository, digest: found.digest, registry: registry.name }
}

function requireDockerfile(build: BuildImage): BuildDockerfile {
  if (build.builder !== 'pack') return build
  throw new BelayError({ code: 'internal', message: 'a Dockerfile is not for pack' })
}

/** Format: the `auths` of Docker's config.json. */
function credentialsFile(host: string, { username, password }: RegistryAccess): unknown {
  if (password === undefined) return { auths: {} }
  return { auths: { [host]: { auth: Buffer.from(`${username ?? ''}:${password}`).toString('base64') } } }
}
