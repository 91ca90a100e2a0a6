/** Runs one program of a build: its lines to the log, its process group ended with it. */
import { BelayError } from '../../domain/errors.ts'
import { spawnProcess } from '../../process/spawn.ts'
import type { BuildImageInput } from './builder.ts'

export interface ProgramInput extends Pick<BuildImageInput, 'workspace' | 'signal' | 'spawned' | 'log' | 'group'> {
  file: string
  args: readonly string[]
  env: Readonly<Record<string, string>>
  /** Keeps its lines from the log. */
  quiet?: boolean
}

export interface ProgramEnd {
  exitCode: number
  /** Its last lines, stdout and stderr as they came. */
  lines: string[]
}

const linesKept = 200
const longestLine = 10_000
const graceMs = 5_000

/** Resolves with how it ended; aborted: everything of it is stopped, then the signal's reason is thrown. `missing_part`: it is not here. */
export async function runProgram(input: ProgramInput): Promise<ProgramEnd> {
  const { file, args, workspace, env, signal, group } = input
  signal.throwIfAborted()
  const lines: string[] = []
  let rest = ''
  const take = (line: string): void => {
    const shown = line.slice(0, longestLine)
    lines.push(shown)
    if (lines.length > linesKept) lines.shift()
    if (input.quiet !== true) input.log(shown)
  }
  const decoder = new TextDecoder()
  const output = (chunk: Buffer): void => {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = (parts.pop() ?? '').slice(0, longestLine)
    for (const part of parts) take(part.replace(/\r$/, ''))
  }
  const child = await spawnProcess({
    file,
    args,
    cwd: workspace,
    env,
    output,
    group,
    noted: (identity) => input.spawned(identity),
  })
  const stop = (): void => void child.stop(graceMs)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const exit = await child.done
    if (signal.aborted) await child.stop(graceMs)
    signal.throwIfAborted()
    if (rest !== '') take(rest)
    return { exitCode: exit.exitCode ?? 128, lines }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The last words of a program that said no. */
export function lastLines({ lines }: ProgramEnd, count = 5): string {
  return lines
    .filter((line) => line.trim() !== '')
    .slice(-count)
    .join('\n')
}

/** It ran, and said no: the pipeline's own failure. */
export function saidNo(what: string, end: ProgramEnd, hint?: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `${what} did not succeed (exit code ${String(end.exitCode)}):\n${lastLines(end)}`,
    ...(hint === undefined ? {} : { hint }),
  })
}
