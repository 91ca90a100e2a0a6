/** Text that somebody else wrote, made fit for a terminal: it must not move the cursor, set titles or answer queries. */

/** For one line of a table: every control character becomes a replacement character. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}

/** CSI, then OSC and its like up to their end, then any other of two characters; last, control characters on their own. */
const unwanted =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|[^[\]PX^_\u001b])|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g
const colour = /^\u001b\[[0-9;:]*m$/
const unfinished = /\u001b(?:\[[0-?]*[ -/]*|[\]PX^_][^\u0007\u001b]*\u001b?)?$/
const longestSequence = 4096

/** A filter for a log: colours stay, every other escape sequence and control character goes. Chunks may cut anywhere. */
export function createLogFilter(): (chunk: string) => string {
  let carried = ''
  return (chunk) => {
    const text = carried + chunk
    const cut = unfinished.exec(text)
    const kept = cut !== null && text.length - cut.index <= longestSequence ? cut.index : text.length
    carried = text.slice(kept)
    return text.slice(0, kept).replace(unwanted, (found) => (colour.test(found) ? found : ''))
  }
}
