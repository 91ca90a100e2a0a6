import { Lexer, Parser } from 'yaml'
import type { CST } from 'yaml'
import { planLimits } from '../domain/plan.ts'
import type { ProblemText } from './problem.ts'

type Tokens = { tokens: CST.Token[] } | { excess: ProblemText; offset: number }

/**
 * Text → tokens, given up as soon as a limit is passed: the parser itself takes a megabyte of `{` to a gigabyte of
 * memory, so it is watched from outside, lexeme by lexeme.
 */
export function tokenize(text: string): Tokens {
  const bytes = Buffer.byteLength(text)
  if (bytes > planLimits.fileBytes) {
    const message = `the file has ${bytes} bytes, more than ${planLimits.fileBytes}`
    return { excess: { code: 'too_large', message }, offset: 0 }
  }
  const parser = new Parser()
  const tokens: CST.Token[] = []
  const count = { lexemes: 0, aliases: 0 }
  let previous = ''
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token)
    // A marker goes before each scalar: what follows it is text, whatever it begins with.
    const excess = findExcess({ lexeme: previous === scalarMarker ? '' : lexeme, stack: parser.stack, count })
    previous = lexeme
    if (excess !== undefined) return { excess, offset: parser.offset - lexeme.length }
  }
  for (const token of parser.end()) tokens.push(token)
  return { tokens }
}

/** About 12,000 lines: what a plan of 512 KiB never needs, and what takes less than a second to refuse. */
const mostLexemes = 100_000

const scalarMarker = '\u001f'

interface Progress {
  lexeme: string
  stack: readonly CST.Token[]
  count: { lexemes: number; aliases: number }
}

function findExcess({ lexeme, stack, count }: Progress): ProblemText | undefined {
  if (++count.lexemes > mostLexemes) {
    return { code: 'too_many_parts', message: `the file has more than ${mostLexemes} parts (words, signs and line ends)` }
  }
  if (lexeme.startsWith('*') && ++count.aliases > planLimits.aliases) {
    return { code: 'too_many_aliases', message: `the file has more than ${planLimits.aliases} aliases` }
  }
  if (stack.length > planLimits.depth && stack.filter(isCollection).length > planLimits.depth) {
    return { code: 'too_deep', message: `values lie more than ${planLimits.depth} deep in one another` }
  }
  return undefined
}

function isCollection(token: CST.Token): boolean {
  return token.type === 'block-map' || token.type === 'block-seq' || token.type === 'flow-collection'
}
