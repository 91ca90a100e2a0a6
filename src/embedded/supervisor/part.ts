/** A process that `up` keeps alive. */
export interface Part {
  readonly name: string
  /** Starts it, or adopts it, and resolves once it is ready. Throws if it does not become so; nothing is left then. */
  start(signal: AbortSignal): Promise<RunningPart>
}

export interface RunningPart {
  pid: number
  /** One phrase for people: where it answers. */
  detail: string
  /** Resolves when it is gone, with how: `exit 1`, `SIGKILL`, `gone`. Never rejects. */
  ended: Promise<string>
  /** Asks it to end, and makes sure of it. Twice: nothing to do. */
  stop(): Promise<void>
  /** At once, without asking. */
  kill(): void
}

/** What happens to the parts, for whoever shows it. */
export type PartNews =
  | { type: 'ready'; part: string; detail: string; pid: number; ms: number }
  | { type: 'ended'; part: string; how: string; restartInMs: number }
  | { type: 'failed'; part: string; error: unknown; restartInMs: number }
  | { type: 'stopped'; part: string; ms: number }
