/** Builds a Dockerfile by a container engine: BuildKit where `buildx` is there, else the classic builder. */
import { existsSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BelayError } from '../../../domain/errors.ts'
import type { Builder, BuildImageInput } from '../builder.ts'
import { prepareBuild, tagPushed, type PreparedBuild } from '../dockerfile-build.ts'
import { lastLines, runProgram, saidNo, type ProgramEnd } from '../run-program.ts'
import { buildArgs, imageName, pushArgs, untagArgs } from './docker-args.ts'

export const docker: Builder = {
  name: 'docker',

  async findObstacle({ env, signal }) {
    try {
      const asked = await runProgram({
        ...{ file: 'docker', args: ['version', '--format', '{{.Server.Version}}'], workspace: '/', env, signal, quiet: true },
        log: () => undefined,
        spawned: () => undefined,
      })
      return asked.exitCode === 0 ? undefined : `no container engine answers: ${lastLines(asked, 1)}`
    } catch (error) {
      if (error instanceof BelayError && error.code === 'refused') return 'the program `docker` is not installed'
      throw error
    }
  },

  async build(input) {
    const prepared = await prepareBuild(input)
    const env = { ...input.env, DOCKER_CONFIG: configDirectory(prepared, input.env) }
    const buildx = await hasBuildx(input, env)
    if (!buildx && Object.keys(prepared.secretFiles).length > 0) {
      throw new BelayError({
        code: 'missing_part',
        message: 'secrets of a build need `docker buildx`, which is not installed on this runner',
        hint: 'Install buildx there, or say `builder: buildah`.',
      })
    }
    const runDocker = (args: string[]): Promise<ProgramEnd> =>
      runProgram({ ...input, file: 'docker', args, env: { ...env, DOCKER_BUILDKIT: buildx ? '1' : '0' } })
    try {
      const built = await runDocker(buildArgs(prepared, { buildx }))
      if (built.exitCode !== 0) throw explainBuild(built)
      await push(prepared, runDocker)
      input.log('this builder lists no contents: the image has no SBOM')
      return await tagPushed(prepared, input)
    } finally {
      await untag(imageName(prepared), { ...input, env })
    }
  },
}

const untagMs = 10_000

/**
 * Our name is of no use to anybody any more, also after an abort, so this has a time of its own. With it goes the image (a
 * target of the same engine pulls it by its digest), but not what the next build takes from its cache: BuildKit's own, or
 * the classic builder's images of the single steps, whose last one is now dangling. These are the operator's to prune,
 * with `docker builder prune` or `docker image prune`.
 */
async function untag(image: string, input: BuildImageInput): Promise<void> {
  const signal = AbortSignal.timeout(untagMs)
  const end = await runProgram({ ...input, file: 'docker', args: untagArgs(image), signal, quiet: true }).catch(() => undefined)
  // A build that failed gave no name.
  if (end?.exitCode === 0 || (end !== undefined && /no such image/i.test(lastLines(end)))) return
  input.log(`the engine keeps a name that nobody needs, remove it with: docker image rm ${image}`)
}

async function push(prepared: PreparedBuild, runDocker: (args: string[]) => Promise<ProgramEnd>): Promise<void> {
  const pushed = await runDocker(pushArgs(imageName(prepared)))
  if (pushed.exitCode === 0) return
  const said = lastLines(pushed)
  const { name } = prepared.registry
  if (/unauthorized|denied|no basic auth credentials|authentication required/i.test(said)) {
    throw saidNo(`the push to the registry "${name}"`, pushed, `Look at username and password of \`registries.${name}\`.`)
  }
  throw new BelayError({
    code: 'unavailable',
    message: `the push to the registry "${name}" did not succeed:\n${said}`,
    hint: `Is the registry of \`registries.${name}\` up, and can the engine reach it?`,
    retryable: true,
  })
}

/** A full disk is ours to mend, all else the Dockerfile's. */
function explainBuild(built: ProgramEnd): BelayError {
  const said = lastLines(built)
  if (!/no space left on device|disk quota exceeded/i.test(said)) return saidNo('the build', built)
  const hint = 'Make room where the engine keeps its images.'
  return new BelayError({ code: 'unavailable', message: `the engine's disk is full:\n${said}`, hint, retryable: true })
}

async function hasBuildx(input: BuildImageInput, env: Record<string, string>): Promise<boolean> {
  const asked = await runProgram({ ...input, file: 'docker', args: ['buildx', 'version'], env, quiet: true })
  return asked.exitCode === 0
}

/** Our credentials, beside the contexts and plugins of whoever runs the runner. */
function configDirectory({ authFile }: PreparedBuild, env: Readonly<Record<string, string>>): string {
  const directory = dirname(authFile)
  const own = env['DOCKER_CONFIG'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.docker'))
  for (const part of ['contexts', 'cli-plugins', 'buildx']) {
    if (own !== undefined && existsSync(join(own, part))) symlinkSync(join(own, part), join(directory, part))
  }
  return directory
}
