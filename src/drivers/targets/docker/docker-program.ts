/** Runs the program `docker` against one engine, and says what a refusal of it means. */
import { BelayError } from '../../../domain/errors.ts'
import { spawnProcess, type Spawned } from '../../../process/spawn.ts'
import { mark } from './docker-args.ts'

export interface DockerProgramOptions {
  /** What the program needs: PATH, HOME, DOCKER_*. */
  env: Readonly<Record<string, string>>
  engine: { context?: string; host?: string }
}

export interface DockerCall {
  /** Variables beside the program's own; they never replace one of those. */
  env?: Readonly<Record<string, string>>
  /** Credentials of this call alone, in the program's own layout. */
  configDirectory?: string
  /** Default: one minute. */
  limitMs?: number
  /** An open file that gets all output; then `output` is empty. */
  into?: number
}

export interface DockerEnd {
  exitCode: number
  /** stdout and stderr as they came. */
  output: Buffer
}

export interface DockerProgram {
  /** The engine, as messages name it. */
  readonly engine: string
  /**
   * Resolves with how it ended, also when the engine said no. Throws `unavailable`, retryable: the engine does not answer, or its
   * disk is full; `missing_part`: there is no such program, or no such context.
   */
  run(args: readonly string[], call?: DockerCall): Promise<DockerEnd>
  /** The same for what must succeed: `refused` with the engine's words otherwise. Gives the lines that were marked. */
  ask(args: readonly string[], call?: DockerCall): Promise<string[]>
}

const usualLimitMs = 60_000
const graceMs = 2_000

export function createDockerProgram({ env, engine }: DockerProgramOptions): DockerProgram {
  const own = engineEnv(env, engine)
  const name = engine.host ?? engine.context ?? own['DOCKER_HOST'] ?? own['DOCKER_CONTEXT'] ?? 'the default one'

  async function run(args: readonly string[], call: DockerCall = {}): Promise<DockerEnd> {
    const { limitMs = usualLimitMs } = call
    const chunks: Buffer[] = []
    const output = call.into ?? ((chunk: Buffer) => void chunks.push(chunk))
    const config = call.configDirectory === undefined ? {} : { DOCKER_CONFIG: call.configDirectory }
    const child = await spawnDocker({ args, env: { ...call.env, ...own, ...config }, output })
    let late = false
    const timer = setTimeout(() => {
      late = true
      void child.stop(graceMs)
    }, limitMs)
    const { exitCode = 128 } = await child.done
    clearTimeout(timer)
    const end = { exitCode, output: Buffer.concat(chunks) }
    if (late) throw away(`did not answer within ${String(limitMs / 1000)} s`)
    if (exitCode !== 0) throwIfFault(end)
    return end
  }

  function throwIfFault(end: DockerEnd): void {
    const said = lastLines(end)
    if (/context not found|context ".*": not found/i.test(said)) {
      const hint = 'Make it with `docker context create`, for the user that runs the deployer.'
      throw new BelayError({ code: 'missing_part', message: `the program \`docker\` has no context ${name}: ${said}`, hint })
    }
    const answered = /error response from daemon/i.test(said)
    if (!answered && /cannot connect to the docker daemon|error during connect|is the docker daemon running|\bEOF$/i.test(said)) {
      throw away(`does not answer: ${said}`)
    }
    if (/no space left on device|disk quota exceeded/i.test(said)) {
      const hint = 'Make room where the engine keeps images, containers and volumes.'
      throw new BelayError({
        code: 'unavailable',
        message: `the disk of the container engine (${name}) is full: ${said}`,
        hint,
        retryable: true,
      })
    }
  }

  function away(how: string): BelayError {
    return new BelayError({
      code: 'unavailable',
      message: `the container engine (${name}) ${how}`,
      hint: 'Is it up, and may the deployer use it?',
      retryable: true,
    })
  }

  return {
    engine: name,
    run,
    async ask(args, call) {
      const end = await run(args, call)
      if (end.exitCode !== 0) throw refusal(`docker ${args.slice(0, 2).join(' ')}`, end)
      return markedLines(end)
    },
  }
}

/** What the configuration says about the engine goes before what the environment says. */
function engineEnv(env: Readonly<Record<string, string>>, { context, host }: DockerProgramOptions['engine']) {
  if (context === undefined && host === undefined) return env
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...rest } = env
  return { ...rest, ...(host === undefined ? { DOCKER_CONTEXT: context ?? '' } : { DOCKER_HOST: host }) }
}

async function spawnDocker(options: Pick<Parameters<typeof spawnProcess>[0], 'args' | 'env' | 'output'>): Promise<Spawned> {
  try {
    return await spawnProcess({ ...options, file: 'docker', cwd: '/' })
  } catch (error) {
    if (!(error instanceof BelayError) || error.code !== 'refused') throw error
    throw new BelayError({
      code: 'missing_part',
      message: 'the program `docker` is not installed where the deployer runs',
      hint: 'Install it there (Debian: docker.io or docker-cli), or deploy with `target: process`.',
      cause: error,
    })
  }
}

/** The engine understood and said no. */
export function refusal(what: string, end: DockerEnd, hint?: string): BelayError {
  const message = `${what} did not succeed (exit code ${String(end.exitCode)}): ${lastLines(end)}`
  return new BelayError({ code: 'refused', message, ...(hint === undefined ? {} : { hint }) })
}

export function lastLines({ output }: DockerEnd, count = 5): string {
  const lines = output.toString('utf8').split('\n').map((line) => line.trim()) // prettier-ignore
  return lines
    .filter((line) => line !== '' && !line.startsWith(mark))
    .slice(-count)
    .join('\n')
}

export function markedLines({ output }: DockerEnd): string[] {
  const lines = output.toString('utf8').split('\n')
  return lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length).trim())
}

/** What `docker` says has no code: these are its words, since 17.06 at the latest. */
export const says = {
  noContainer: (end: DockerEnd): boolean => /no such container/i.test(lastLines(end)),
  noImage: (end: DockerEnd): boolean => /no such image/i.test(lastLines(end)),
  nameTaken: (end: DockerEnd): boolean => /name .* is already in use|already assigned/i.test(lastLines(end)),
  portTaken: (end: DockerEnd): boolean => /port is already allocated|address already in use/i.test(lastLines(end)),
  halfRemoved: (end: DockerEnd): boolean => /marked for removal/i.test(lastLines(end)),
  notRunning: (end: DockerEnd): boolean => /is not running/i.test(lastLines(end)),
  noManifest: (end: DockerEnd): boolean =>
    /manifest unknown|manifest for .* not found|name unknown|: not found/i.test(lastLines(end)),
  denied: (end: DockerEnd): boolean =>
    /unauthorized|denied|no basic auth credentials|authentication required/i.test(lastLines(end)),
} as const
