/** The end of what a container printed. */

export const tailLines = 200
const tailBytes = 8_192

/** Whole lines: one cut in two may hold half a secret, which no mask would find. */
export function endOfLog(output: Buffer): string {
  if (output.length <= tailBytes) return output.toString('utf8')
  const end = output.subarray(output.length - tailBytes)
  const firstBreak = end.indexOf('\n')
  return firstBreak === -1 ? '' : end.subarray(firstBreak + 1).toString('utf8')
}
