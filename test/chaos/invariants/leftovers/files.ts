/** Files and directories that are named after ended runs, and what builds keep only while they last. */
import { readdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { World } from '../../evidence.ts'
import { walk } from '../../files.ts'
import { findRunIn, type Leftovers } from '../nothing-is-left.ts'

/** Workspaces, spools, journals, whatever else: everything of a run carries its id in its name. Logs are what is remembered. */
export async function findFiles(world: World, ended: ReadonlySet<string>): Promise<Leftovers> {
  const found: Leftovers = { looked: 0, left: [] }
  const skip = new Set([world.places.logs, world.notes])
  const places = [world.directory, ...world.runners.flatMap(({ data, workspaces }) => [data, workspaces])]
  const outer = places.filter((place) => !places.some((other) => place !== other && place.startsWith(`${other}/`)))
  for (const place of new Set(outer)) {
    let inside: string | undefined
    for await (const { path, entry } of walk(place, skip)) {
      found.looked += 1
      if (inside !== undefined && path.startsWith(inside)) continue
      const runId = findRunIn(entry.name, ended)
      if (runId === undefined) continue
      inside = `${path}/`
      const [what] = entry.isDirectory()
        ? await readdir(path).then((names) => [`holds ${names.join(', ') || 'nothing'}`])
        : ['is a file']
      found.left.push({ about: path, facts: `is of run ${runId}, which has ended; it ${String(what)}` })
    }
  }
  return found
}

export async function findScratch({ runners }: World): Promise<Leftovers> {
  const places = runners
    .flatMap(({ data }) => [join(data, 'scratch'), join(data, 'runner/scratch')])
    .filter((place) => existsSync(place))
  const names = await Promise.all(places.map(async (place) => ({ place, names: await readdir(place) })))
  const left = names.flatMap(({ place, names: inside }) => inside.map((name) => join(place, name)))
  return { looked: runners.length, left: left.map((path) => ({ about: path, facts: 'is kept only while a build lasts' })) }
}
