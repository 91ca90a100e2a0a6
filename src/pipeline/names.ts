import type { KeyPath, Places, Problem } from './problem.ts'
import { problemAtKey, quote } from './problem.ts'

/** `a_b2`, at most 60; Belay may append `_release`. */
const stepName = /^[a-z][a-z0-9_]{0,59}$/

/** `path` ends in the id of a step. */
export function checkStepName(places: Places, path: KeyPath): Problem[] {
  const id = String(path.at(-1))
  if (!stepName.test(id)) {
    const message = `the step name ${quote(id)} must be small letters, digits and _, a letter first, at most 60`
    const better = id
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '_')
      .replace(/^[^a-z]+/, '')
      .replace(/_$/, '')
    const hint = stepName.test(better) ? `write "${better}"` : undefined
    return [problemAtKey(places, path, { code: 'invalid_value', message, hint })]
  }
  // Every object has one: as a key of plain data it would be mistaken for a step that is always there.
  if (id === 'constructor')
    return [problemAtKey(places, path, { code: 'reserved_name', message: 'no step may be called "constructor"' })]
  return []
}

/** `.belay/docs.yml` → `docs`: the name of a pipeline that says none. */
export function nameOfFile(file: string): string {
  const base = file.slice(file.lastIndexOf('/') + 1)
  return base.replace(/^\.+/, '').replace(/\.ya?ml$/i, '') || 'belay'
}
