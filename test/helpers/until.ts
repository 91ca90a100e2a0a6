/** Asks until there is an answer; after the limit it throws with what was waited for. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + limitMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (Date.now() > deadline) throw new Error(`not within ${String(limitMs / 1000)} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
