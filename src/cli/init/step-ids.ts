/** Ids of steps: `[a-z][a-z0-9_]*`, each once, made of whatever things were called. */
export function uniqueIds(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    const id = stepId(name)
    let unique = id
    for (let n = 2; taken.has(unique); n++) unique = `${id}_${String(n)}`
    taken.add(unique)
    return unique
  })
}

const longest = 40

export function stepId(name: string): string {
  const id = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replace(/^[^a-z]+/, '')
    .slice(0, longest)
    .replace(/_+$/, '')
  // Every object has a `constructor`: no step may be called that.
  return id === '' || id === 'constructor' ? 'step' : id
}
