import { BelayError } from '../../domain/errors.ts'
import { spawnProcess } from '../../process/spawn.ts'

/** What a tool needs to find itself, its configuration and the network; nothing else of our environment is handed on. */
const handedOn =
  /^(?:PATH|HOME|USER|LANG|LC_\w+|TMPDIR|TZ|XDG_\w+|PIP_\w+|PYENV_\w+|VIRTUAL_ENV|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|(?:https?|no|all)_proxy)$/i

export interface ToolResult {
  exitCode: number
  /** Output and errors together, at most 64 KiB. */
  output: string
}

/** Runs a program to its end. Throws `refused` if it cannot be started, `unavailable` if it takes longer than `timeoutMs`. */
export async function runTool(
  file: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; /** Handed on besides. */ also?: Record<string, string>; cwd: string; timeoutMs: number },
): Promise<ToolResult> {
  const chunks: Buffer[] = []
  let size = 0
  const spawned = await spawnProcess({
    file,
    args,
    cwd: options.cwd,
    env: { ...toolEnvironment(options.env), ...options.also },
    output(chunk) {
      if (size < 65_536) chunks.push(chunk)
      size += chunk.length
    },
  })
  let late = false
  const timer = setTimeout(() => {
    late = true
    void spawned.stop(1000)
  }, options.timeoutMs)
  const exit = await spawned.done
  clearTimeout(timer)
  if (late) {
    const seconds = String(Math.round(options.timeoutMs / 1000))
    throw new BelayError({ code: 'unavailable', message: `${file} did not end within ${seconds} s`, retryable: true })
  }
  return { exitCode: exit.exitCode ?? 1, output: Buffer.concat(chunks).toString('utf8') }
}

export function toolEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && handedOn.test(entry[0]),
  )
  return Object.fromEntries(entries)
}
