import { mkdir, readdir, rm, stat } from 'node:fs/promises'

const keptReleases = 5
/** Older than any unpacking: left behind by a kill. */
const abandonedMs = 60 * 60_000

/** Removes unpacked releases that nobody runs, but for the newest five. `inUse`: directories that must stay. */
export async function pruneReleases(directory: string, inUse: readonly string[]): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 })
  const names = await readdir(directory)
  const aged = await Promise.all(
    names.map(async (name) => ({ path: `${directory}/${name}`, name, at: (await stat(`${directory}/${name}`)).mtimeMs })),
  )
  const abandoned = aged.filter(({ name, at }) => name.startsWith('.unpack-') && Date.now() - at > abandonedMs)
  const old = aged
    .filter(({ name }) => /^[0-9a-f]{64}$/.test(name))
    .sort((a, b) => b.at - a.at)
    .slice(keptReleases)
    .filter(({ path }) => !inUse.includes(path))
  for (const { path } of [...abandoned, ...old]) await rm(path, { recursive: true, force: true })
}
