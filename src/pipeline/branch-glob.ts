/**
 * Globs on branch names: `*` and `?` within one part, `**` across `/`, `{a,b}`, everything else literal.
 * Glob and branch both come from outside, so this walks instead of compiling a RegExp: at most glob × branch steps.
 */

/** Why a glob is none, for a message that reads "… must be"; undefined if it is one. */
export function refuseGlob(glob: string): string | undefined {
  if (glob.length > 200) return 'at most 200 characters'
  if (glob.startsWith('!')) return 'a glob that says what matches; `!` is not known'
  if (/[[\]()\\]/.test(glob)) return 'a glob of *, **, ? and {a,b}'
  if (glob.startsWith('refs/heads/')) return `a branch without refs/heads/: ${glob.slice('refs/heads/'.length)}`
  return expandBraces(glob) === undefined ? 'a glob whose { } are closed, not nested, and few' : undefined
}

/** True if the branch (`main`, without `refs/heads/`) matches. */
export function matchesGlob(branch: string, glob: string): boolean {
  return (expandBraces(glob) ?? []).some((pattern) => walk(branch, tokensOf(pattern)))
}

const mostAlternatives = 64

/** `{a,b}/c` → `a/c`, `b/c`; undefined if the braces make no sense or too much. */
function expandBraces(glob: string): string[] | undefined {
  let patterns = ['']
  for (const piece of glob.split(/(\{[^{}]*\})/)) {
    const alternatives = piece.startsWith('{') && piece.endsWith('}') ? piece.slice(1, -1).split(',') : [piece]
    if (alternatives.length === 1 && /[{}]/.test(piece)) return undefined
    if (patterns.length * alternatives.length > mostAlternatives) return undefined
    patterns = patterns.flatMap((pattern) => alternatives.map((alternative) => pattern + alternative))
  }
  return patterns
}

type Token = { type: 'literal'; text: string } | { type: 'one' | 'part' | 'any' | 'parts' }

// `**/` is any number of whole parts, none included; any other `**` is any text.
function tokensOf(pattern: string): Token[] {
  return [...pattern.matchAll(/(?<=^|\/)\*\*\/|\*\*+|\*|\?|[^*?]/gu)].map(([text]): Token => {
    if (text === '**/') return { type: 'parts' }
    if (text === '*') return { type: 'part' }
    if (text === '?') return { type: 'one' }
    return text.startsWith('**') ? { type: 'any' } : { type: 'literal', text }
  })
}

/** All places in the branch that the tokens so far can have led to, token by token. */
function walk(branch: string, tokens: readonly Token[]): boolean {
  const characters = Array.from(branch)
  let reached = characters.map(() => false).concat(false)
  reached[0] = true
  for (const token of tokens) reached = step(characters, reached, token)
  return reached[characters.length] === true
}

function step(characters: readonly string[], reached: readonly boolean[], token: Token): boolean[] {
  const next = reached.map(() => false)
  let open = false
  for (let at = 0; at <= characters.length; at++) {
    const here = reached[at] === true
    const before = characters[at - 1]
    switch (token.type) {
      case 'literal':
        next[at] = reached[at - 1] === true && before === token.text
        break
      case 'one':
        next[at] = reached[at - 1] === true && before !== '/'
        break
      case 'part':
        open = here || (open && before !== '/')
        next[at] = open
        break
      case 'any':
        open = here || open
        next[at] = open
        break
      case 'parts':
        next[at] = here || (open && before === '/')
        open = here || open
    }
  }
  return next
}
