/**
 * I7: what steps were given and tried to print lies nowhere: not in Temporal, the store, any file, what the parts printed, or a
 * command line. To show that the search sees, it also looks for the id of a run, which must be found in each kind of place.
 */
import { open } from 'node:fs/promises'
import { mapSome } from '../collections.ts'
import { walk } from '../files.ts'
import { createFinding, type Finding } from '../finding.ts'
import type { Memory } from '../memory.ts'
import { listProcesses } from '../processes.ts'
import { openTables } from '../tables.ts'
import type { TemporalView } from '../temporal-view.ts'
import { exceptionsOf } from './secrets/exceptions.ts'
import { findIn, needlesOf, type Needle } from './secrets/needles.ts'
import { searchFile } from './secrets/search-files.ts'
import { bytesIn } from './secrets/texts-in.ts'

type Histories = Pick<TemporalView, 'executions' | 'fetchHistory'>

const atOnce = 4
const control = 'the control'

export async function noSecretLeaks(memory: Memory, temporal: Histories): Promise<Finding> {
  const finding = createFinding('I7')
  const { world, runs } = memory
  const canaries = world.canaries.flatMap((canary, index) => needlesOf(canary, `canary ${String(index + 1)}`))
  const [run] = runs
  const needles: Needle[] = [...canaries, ...(run === undefined ? [] : [{ name: control, bytes: Buffer.from(run.run.id) }])]
  const seen = new Set<string>()
  if (world.canaries.length === 0) finding.blame('the canaries', 'there are none')

  const tell = (part: string, about: string, found: readonly string[]) => {
    finding.look(part)
    if (found.includes(control)) seen.add(part)
    const leaks = found.filter((name) => name !== control)
    if (leaks.length > 0) finding.blame(about, `holds ${leaks.join('; ')}`)
  }

  await searchTables('tables', 'the store', world.places.database)
  await mapSome(temporal.executions, atOnce, async (execution) => {
    const bytes = bytesIn(await temporal.fetchHistory(execution))
    tell('histories', `history of ${execution.workflowId} (${execution.executionId})`, findIn(bytes, needles))
  })
  await searchFiles()
  for (const { part, text } of world.printed()) tell('prints', `what ${part} printed`, findIn(Buffer.from(text), needles))
  for (const { pid, command } of listProcesses()) {
    tell('command lines', `command line of process ${String(pid)}`, findIn(Buffer.from(command, 'latin1'), needles))
  }
  for (const part of ['tables', 'histories', 'files']) {
    if (!seen.has(part)) finding.blame(`the search of ${part}`, 'does not even find the id of a run')
  }
  return finding

  async function searchFiles(): Promise<void> {
    const exceptions = exceptionsOf(world)
    const places = new Set([world.directory, world.notes, ...world.runners.flatMap(({ data, workspaces }) => [data, workspaces])])
    const skip = new Set(exceptions.map(({ directory }) => directory))
    const files = new Set<string>()
    for (const place of places) {
      for await (const { path, entry } of walk(place, skip)) {
        tell('names', path, findIn(Buffer.from(path), canaries))
        if (entry.isFile()) files.add(path)
      }
    }
    await mapSome([...files], atOnce, async (file) => {
      tell('files', file, await searchFile(file, needles))
      // A long value lies in several pages of such a file, with pointers between.
      if (await isSqlite(file)) await searchTables('databases', file, file)
    })
  }

  async function searchTables(part: string, about: string, database: string | { url: string }): Promise<void> {
    const tables = await openTables(database)
    try {
      for (const table of await tables.names()) {
        const rows = await tables.rows(table)
        const cells = rows.flatMap((row) => Object.values(row).flatMap((cell) => (cell === null ? [] : [Buffer.from(cell)])))
        const found = new Set(cells.flatMap((cell) => findIn(cell, needles)))
        tell(part, `${about}, table ${table} (${String(rows.length)} rows)`, [...found])
      }
    } finally {
      await tables.close()
    }
  }
}

async function isSqlite(file: string): Promise<boolean> {
  const wanted = 'SQLite format 3\0'
  const handle = await open(file, 'r').catch(() => undefined)
  if (handle === undefined) return false
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(wanted.length), 0, wanted.length, 0)
    return buffer.subarray(0, bytesRead).toString('latin1') === wanted
  } finally {
    await handle.close()
  }
}
