/** Builds a Dockerfile without an engine: `buildah`, with a storage of its own for each build. */
import { join } from 'node:path'
import { BelayError } from '../../../domain/errors.ts'
import type { Builder } from '../builder.ts'
import { prepareBuild, tagPushed, type PreparedBuild } from '../dockerfile-build.ts'
import { lastLines, runProgram, saidNo, type ProgramEnd } from '../run-program.ts'
import { buildArgs, pushArgs } from './buildah-args.ts'

export const buildah: Builder = {
  name: 'buildah',

  async findObstacle({ env, signal }) {
    try {
      const asked = await runProgram({
        ...{ file: 'buildah', args: ['--version'], workspace: '/', env, signal, quiet: true },
        log: () => undefined,
        spawned: () => undefined,
      })
      return asked.exitCode === 0 ? undefined : `it does not work here: ${lastLines(asked, 1)}`
    } catch (error) {
      if (error instanceof BelayError && error.code === 'refused') return 'the program `buildah` is not installed'
      throw error
    }
  },

  async build(input) {
    const prepared = await prepareBuild(input)
    refuseMacros(prepared)
    const places = { root: join(input.scratch, 'storage'), runRoot: join(input.scratch, 'run') }
    // Its own temporary files go with the rest.
    const env = { ...input.env, TMPDIR: input.scratch }
    const runBuildah = (args: string[]): Promise<ProgramEnd> => runProgram({ ...input, file: 'buildah', args, env })
    const built = await runBuildah(buildArgs(places, prepared))
    if (built.exitCode !== 0) throw explain('the build', built)
    const pushed = await runBuildah(pushArgs(places, prepared))
    if (pushed.exitCode !== 0) throw explainPush(prepared.registry.name, pushed)
    input.log('this builder lists no contents: the image has no SBOM')
    return tagPushed(prepared, input)
  },
}

/** buildah gives `*.in` to the C preprocessor first, and with `#include` any file of this machine gets into the build. */
function refuseMacros({ build, dockerfile }: PreparedBuild): void {
  if (!dockerfile.endsWith('.in')) return
  throw new BelayError({
    code: 'refused',
    message: `cannot build ${JSON.stringify(build.dockerfile)}: with this name it would go through the C preprocessor`,
    hint: 'Give the Dockerfile a name that does not end in ".in".',
  })
}

function explain(what: string, end: ProgramEnd): BelayError {
  const said = lastLines(end)
  if (!/no space left on device|disk quota exceeded/i.test(said)) return saidNo(what, end)
  const hint = "Make room on the runner's disk."
  return new BelayError({ code: 'unavailable', message: `the disk is full:\n${said}`, hint, retryable: true })
}

function explainPush(registry: string, end: ProgramEnd): BelayError {
  const said = lastLines(end)
  if (/unauthorized|denied|authentication required|invalid username\/password/i.test(said)) {
    return saidNo(`the push to the registry "${registry}"`, end, `Look at username and password of \`registries.${registry}\`.`)
  }
  const message = `the push to the registry "${registry}" did not succeed:\n${said}`
  const hint = `Is the registry of \`registries.${registry}\` up, and can it be reached from here?`
  return new BelayError({ code: 'unavailable', message, hint, retryable: true })
}
