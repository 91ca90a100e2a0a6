/** What a command may touch of the process it runs in: handed in, so that tests run commands as functions. */
export interface Io {
  env: NodeJS.ProcessEnv
  cwd: string
  out: (text: string) => void
  err: (text: string) => void
  /** Is stdout a terminal? Then colours, and no raw control characters. */
  terminal: boolean
  /** Ends with this code once the command is through. */
  exitWith: (code: number) => void
  /** The command has failed: ends with this code in a second at the latest, whatever it had started before. */
  failWith: (code: number) => void
  /** Aborts when the user asks to stop. */
  readonly signal: AbortSignal
}

export function processIo(): Io {
  const interrupted = new AbortController()
  let waiting = false
  // Whoever read our output has gone (`belay logs -f | head`): there is nobody left to tell, and nothing to wait for.
  process.stdout.on('error', () => {
    interrupted.abort()
  })
  // It goes to a disk that is full: there is nobody to tell, and what we do is still wanted.
  process.stderr.on('error', () => undefined)
  return {
    env: process.env,
    cwd: process.cwd(),
    out(text) {
      if (!process.stdout.destroyed) process.stdout.write(text)
    },
    err: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
    exitWith(code) {
      process.exitCode = code
    },
    failWith(code) {
      process.exitCode = code
      // A part that never got to serve is to be started again, and not to stand there with half of what it needs.
      setTimeout(() => process.exit(), 1_000).unref()
    },
    // Asked for only by commands that wait: the first Ctrl-C ends the wait, the second one the process.
    get signal() {
      if (!waiting) {
        process.once('SIGINT', () => {
          interrupted.abort()
        })
      }
      waiting = true
      return interrupted.signal
    },
  }
}
