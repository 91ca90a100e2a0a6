/** Scalars and comments as they are written into a pipeline file: what is read back is what was given, whatever it holds. */
import { printable } from '../terminal-text.ts'

/** One value of a block map or list. `indent` is that of the lines below it, if it takes several. */
export function scalar(text: string, indent: number): string {
  if (isPlain(text)) return text
  if (!unprintable.test(text)) return `'${text.replaceAll("'", "''")}'`
  if (isBlock(text)) return `|-\n${text.replace(/^(?=.)/gm, ' '.repeat(indent))}`
  return quoted(text)
}

/** A value of a flow list or map. */
export function flowScalar(text: string): string {
  if (/^[A-Za-z0-9_./][A-Za-z0-9_./-]*$/.test(text) && isPlain(text)) return text
  return unprintable.test(text) ? quoted(text) : `'${text.replaceAll("'", "''")}'`
}

/** One line, so that nothing in it can leave the comment. */
export function comment(text: string, most = 160): string {
  const line = printable(text).replaceAll(/\s+/g, ' ').trim()
  return `# ${line.length > most ? `${line.slice(0, most - 1)}…` : line}`.trimEnd()
}

const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]/
/** Words that other readers of YAML take for something else than text. */
const notText = /^(?:~|null|true|false|yes|no|on|off|y|n|[+-]?[.\d][\d._eExXoabcdfABCDF+-]*|\.inf|\.nan)$/i

function isPlain(text: string): boolean {
  if (!/^[A-Za-z0-9_./$][\x20-\x7e]*$/.test(text) || notText.test(text)) return false
  return !/: |:$| #| $/.test(text)
}

/** A literal block keeps its lines as they are, but its first one tells how far all are indented, and its last break is lost. */
function isBlock(text: string): boolean {
  if (!text.includes('\n') || text.endsWith('\n') || !/^\S/.test(text)) return false
  return !unprintable.test(text.replaceAll(/[\n\t]/g, ''))
}

function quoted(text: string): string {
  // JSON leaves these as they are; YAML reads them as line breaks, or not at all.
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
