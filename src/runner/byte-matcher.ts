/** Finds any of many byte patterns in one pass (Aho-Corasick), with a table over the bytes that occur in them. */

export interface ByteMatcher {
  /** The state before the first byte. */
  readonly start: number
  next(state: number, byte: number): number
  /** Length of the longest pattern that ends in this state; 0: none. */
  matched(state: number): number
  /** How many of the last bytes may still grow into a pattern. */
  depth(state: number): number
}

export function createByteMatcher(patterns: readonly Buffer[]): ByteMatcher {
  const classes = classesOf(patterns)
  const width = 1 + Math.max(...classes)
  const table = buildTrie(patterns, classes, width)
  addShortcuts(table, width)
  return {
    start: 0,
    next: (state, byte) => table.next[state * width + (classes[byte] ?? 0)] ?? 0,
    matched: (state) => table.matched[state] ?? 0,
    depth: (state) => table.depth[state] ?? 0,
  }
}

interface Table {
  next: Int32Array
  matched: Int32Array
  depth: Int32Array
  nodes: number
}

/** Class 0 is every byte that no pattern holds: it keeps the table narrow. */
function classesOf(patterns: readonly Buffer[]): Uint16Array {
  const classes = new Uint16Array(256)
  let used = 0
  for (const pattern of patterns) {
    for (const byte of pattern) if (classes[byte] === 0) classes[byte] = ++used
  }
  return classes
}

function buildTrie(patterns: readonly Buffer[], classes: Uint16Array, width: number): Table {
  const bound = 1 + patterns.reduce((sum, pattern) => sum + pattern.length, 0)
  const table: Table = {
    next: new Int32Array(bound * width),
    matched: new Int32Array(bound),
    depth: new Int32Array(bound),
    nodes: 1,
  }
  for (const pattern of patterns) {
    let node = 0
    for (const byte of pattern) {
      const slot = node * width + (classes[byte] ?? 0)
      if (table.next[slot] === 0) {
        table.next[slot] = table.nodes
        table.depth[table.nodes] = (table.depth[node] ?? 0) + 1
        table.nodes += 1
      }
      node = table.next[slot] ?? 0
    }
    table.matched[node] = pattern.length
  }
  return table
}

/** Breadth first: where a node has no child, it goes on where its longest proper suffix would. */
function addShortcuts(table: Table, width: number): void {
  const { next, matched } = table
  const suffix = new Int32Array(table.nodes)
  const queue = [0]
  for (let head = 0; head < queue.length; head += 1) {
    const node = queue[head] ?? 0
    const fallback = suffix[node] ?? 0
    if (matched[node] === 0) matched[node] = matched[fallback] ?? 0
    for (let byteClass = 0; byteClass < width; byteClass += 1) {
      const slot = node * width + byteClass
      const onward = node === 0 ? 0 : (next[fallback * width + byteClass] ?? 0)
      const child = next[slot] ?? 0
      if (child === 0) next[slot] = onward
      else {
        suffix[child] = onward
        queue.push(child)
      }
    }
  }
}
