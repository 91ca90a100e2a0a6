import { BelayError } from '../domain/errors.ts'
import type { Outcome } from '../domain/step.ts'

/** Work of which the watchdog has ended a part: what had finished, and what has to run again. */
export class CutShort extends BelayError {
  readonly outcomes: Outcome[] = []
  readonly interrupted: string[] = []

  constructor() {
    super({
      code: 'unavailable',
      message: 'the watchdog ended the steps: nothing was heard of this runner',
      retryable: true,
    })
  }
}
