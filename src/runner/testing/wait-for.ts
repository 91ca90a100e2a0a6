/** Waits for a condition; whoever waits for ever is stopped by the test's own time limit. For tests. */
export async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Forgets everything. For tests. */
export const silentLog = { info: () => undefined, warn: () => undefined, error: () => undefined }
