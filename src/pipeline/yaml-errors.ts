import type { YAMLError } from 'yaml'
import type { ProblemText } from './problem.ts'

/** A mistake of YAML itself, with what the writer probably meant. */
export function explainYamlError(error: YAMLError, text: string): ProblemText {
  if (error.code === 'TAG_RESOLVE_FAILED') {
    return {
      code: 'yaml',
      message: 'a value that begins with `!` is a YAML tag, and none is known here',
      hint: "quote the value: '!…'",
    }
  }
  const hint = guess(error, lineAt(text, error.pos[0]))
  return { code: 'yaml', message: lowerFirst(error.message), ...(hint === undefined ? {} : { hint }) }
}

function guess(error: YAMLError, line: string): string | undefined {
  if (error.code === 'TAB_AS_INDENT' || /^ *\t/.test(line)) return 'indent with spaces; YAML takes no tabs there'
  if (/[[{,][^'"]*\$\{/.test(line)) return 'a value with `${` inside [ ] or { } must be quoted: ["${…}"]'
  switch (error.code) {
    case 'BAD_INDENT':
      return 'keys of one map begin in the same column; or a bracket, brace or quote above is not closed'
    case 'MULTILINE_IMPLICIT_KEY':
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'a text with ": " in it must be quoted; a key is followed by ":"'
    case 'MISSING_CHAR':
      return 'a quote, bracket or brace is not closed'
    case 'BAD_SCALAR_START':
      return 'quote the value'
    case 'BAD_ALIAS':
      return 'a text that begins with `*` must be quoted'
    default:
      return undefined
  }
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', Math.max(0, offset - 1)) + 1
  const end = text.indexOf('\n', offset)
  return text.slice(start, Math.min(end === -1 ? text.length : end, start + 2000))
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
