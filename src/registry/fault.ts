/** Something that another attempt may mend. Never leaves this room: after the last attempt it becomes `unavailable`. */
export class Fault extends Error {
  /** How long the other side wants to be left alone, in ms. */
  readonly afterMs: number | undefined

  constructor(message: string, options: { cause?: unknown; afterMs?: number | undefined } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.afterMs = options.afterMs
  }
}
