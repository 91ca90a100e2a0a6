/**
 * `belay part …`, which `up` starts as its children; not for people, and so not in the program. Each role loads its own
 * worker only: a keeper that died must be back within a second.
 */
import { BelayError } from '../domain/errors.ts'
import { beginLife } from './part/life.ts'
import { watchdogProgram } from './part/watchdog-program.ts'
import type { KeeperInput, MainInput, RunnerInput } from './part/part-input.ts'

export async function runPart(args: readonly string[]): Promise<void> {
  const [role, input = '{}'] = args
  switch (role) {
    case 'keeper':
      return await runKeeper(JSON.parse(input) as KeeperInput)
    case 'main':
      return await runMain()
    case 'runner':
      return await runRunner()
    case 'watchdog':
      return await runWatchdog(input)
    default:
      throw new BelayError({ code: 'invalid_input', message: 'this is for `belay up` to call' })
  }
}

async function runKeeper(input: KeeperInput): Promise<void> {
  const life = beginLife()
  const { start } = await import('../../workers/keeper.ts')
  const keeper = await start(input)
  life.serve(() => keeper.stop(), 30_000)
}

async function runMain(): Promise<void> {
  const life = beginLife()
  const { ready, ...input } = await readInput<MainInput>()
  const [{ mainRoles, start }, { createLog }] = await Promise.all([
    import('../../workers/main.ts'),
    import('../../workers/log.ts'),
  ])
  const main = await start({ ...input, roles: mainRoles, log: createLog('main') })
  life.serve(() => main.stop(), 8000)
  await sayReady(ready, input.config.publicUrl)
}

async function runRunner(): Promise<void> {
  const life = beginLife()
  const { ready, ...input } = await readInput<RunnerInput>()
  const { start } = await import('../../workers/runner.ts')
  const runner = await start({ ...input, watchdog: watchdogProgram() })
  life.serve(() => runner.stop(), 12_000)
  await sayReady(ready, `${input.name}, ${String(input.slots)} slots`)
}

async function runWatchdog(directory: string): Promise<void> {
  const { start } = await import('../../workers/watchdog.ts')
  await start({ directory })
  process.exit(0)
}

async function sayReady(file: string, detail: string): Promise<void> {
  const files = await import('../embedded/supervisor/part-files.ts')
  files.sayReady(file, detail)
}

/** One JSON value from stdin, to its end. We wrote it ourselves a moment ago, so it is taken as it is. */
async function readInput<T>(): Promise<T> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array))
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T
}
