export interface Life {
  /** From here on the end is orderly: `stop` is called once, and given this long. */
  serve(stop: () => Promise<void>, deadlineMs: number): void
}

/**
 * Ends this process on SIGTERM, SIGINT or the death of its parent (the channel to `up` closes, however `up` dies): at once
 * while it is still starting, in order once it serves.
 */
export function beginLife(): Life {
  let orderly: { stop: () => Promise<void>; deadlineMs: number } | undefined
  let ending = false
  const end = () => {
    if (ending) return
    ending = true
    if (orderly === undefined) process.exit(1)
    setTimeout(() => process.exit(1), orderly.deadlineMs).unref()
    orderly.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.on('disconnect', end)
  return {
    serve(stop, deadlineMs) {
      orderly = { stop, deadlineMs }
    },
  }
}
