/** What detectors see of a repository: the files that a commit would hold, and nothing else. Paths are `/`-separated. */
export interface Tree {
  has(path: string): boolean
  /** Its text; undefined if it is not there, no regular file, too large (256 KiB) or not text. */
  read(path: string): string | undefined
  /** The files that match, sorted, at most 200. Globs are ours, never a file's: `*` within one part, `**` across, `{a,b}`. */
  list(glob: string): string[]
}

const mostListed = 200

/** A tree of these paths; `read` is asked for them alone. */
export function treeOf(paths: readonly string[], read: (path: string) => string | undefined): Tree {
  const sorted = [...new Set(paths)].sort()
  const known = new Set(sorted)
  return {
    has: (path) => known.has(path),
    read: (path) => (known.has(path) ? read(path) : undefined),
    list: (glob) => {
      const found: string[] = []
      const pattern = patternOf(glob)
      for (const path of sorted) {
        if (found.length === mostListed) break
        if (pattern.test(path)) found.push(path)
      }
      return found
    },
  }
}

/** Two stars and a slash are any number of whole parts, none included. */
function patternOf(glob: string): RegExp {
  const source = glob.replace(/\*\*\/|\*|[{},]|[^\w/{},*-]/g, (part) => {
    if (part === '**/') return '(?:.*/)?'
    if (part === '*') return '[^/]*'
    if (part === '{') return '(?:'
    if (part === '}') return ')'
    return part === ',' ? '|' : `\\${part}`
  })
  return new RegExp(`^${source}$`, 's')
}

/** The same below a directory, as if that were the root. */
export function treeBelow(tree: Tree, directory: string): Tree {
  const lead = `${directory}/`
  return {
    has: (path) => tree.has(lead + path),
    read: (path) => tree.read(lead + path),
    list: (glob) => tree.list(lead + glob).map((path) => path.slice(lead.length)),
  }
}
