import type { Io } from './io.ts'

export interface TestIo extends Io {
  /** What was printed, and the exit code. */
  result: { out: string; err: string; code: number }
}

/** A command's surroundings without a process: for tests. */
export function testIo(options: { cwd: string; env?: NodeJS.ProcessEnv }): TestIo {
  const result = { out: '', err: '', code: 0 }
  return {
    env: options.env ?? {},
    cwd: options.cwd,
    out: (text) => void (result.out += text),
    err: (text) => void (result.err += text),
    terminal: false,
    exitWith: (code) => void (result.code = code),
    failWith: (code) => void (result.code = code),
    signal: new AbortController().signal,
    result,
  }
}
