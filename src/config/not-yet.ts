/** What the configuration will know and this Belay does not carry out yet: refused by name, never accepted and ignored. */

/** Keys, by the path of the map they stand in; `*` stands for any name. */
export const keysNotYet: Readonly<Record<string, readonly string[]>> = {
  '': ['blobs', 'users', 'groups', 'watch', 'notifications'],
  'projects.*': ['fetch', 'images'],
}

/** Values, by the path of their key. */
export const valuesNotYet: Readonly<Record<string, readonly string[]>> = {
  'projects.*.forge': ['gitlab', 'bitbucket'],
  'projects.*.isolation': ['bubblewrap', 'container'],
  'environments.*.target': ['kubernetes', 'helm', 'compose', 'ssh'],
  'secrets.*.provider': ['file', 'vault'],
}

/** `projects.shop.forge` → `projects.*.forge`: names that people choose are all the same to the tables. */
export function patternOf(path: readonly (string | number)[]): string {
  const named = ['projects', 'environments', 'secrets', 'registries']
  return path.map((part, depth) => (depth === 1 && named.includes(String(path[0])) ? '*' : String(part))).join('.')
}
