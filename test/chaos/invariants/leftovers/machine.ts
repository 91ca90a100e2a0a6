/** What the machine keeps for a run: cgroups, containers, mounts. */
import { existsSync, readFileSync } from 'node:fs'
import { execa } from 'execa'
import type { World } from '../../evidence.ts'
import { walk } from '../../files.ts'
import { findRunIn, type Leftovers } from '../nothing-is-left.ts'

interface Mount {
  place: string
  type: string
}

function listMounts(): Mount[] {
  if (!existsSync('/proc/self/mounts')) return []
  return readFileSync('/proc/self/mounts', 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [, place = '', type = ''] = line.split(' ')
      // Blanks and the like stand there in octal.
      return {
        type,
        place: place.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8))),
      }
    })
}

export function findMounts({ directory, mounts: own }: World): Leftovers {
  const mounts = listMounts()
  const left = mounts.filter(({ place }) => place.startsWith(`${directory}/`) && !own.includes(place))
  return {
    looked: mounts.length,
    left: left.map(({ place, type }) => ({ about: `mount ${place}`, facts: `of ${type}, is still there` })),
  }
}

/** In every hierarchy that is mounted: on a machine of version 1 there are several. */
export async function findCgroups(ended: ReadonlySet<string>): Promise<Leftovers> {
  const found: Leftovers = { looked: 0, left: [] }
  for (const { place } of listMounts().filter(({ type }) => type === 'cgroup' || type === 'cgroup2')) {
    for await (const { path, entry } of walk(place)) {
      if (!entry.isDirectory()) continue
      found.looked += 1
      const runId = findRunIn(entry.name, ended)
      if (runId !== undefined) found.left.push({ about: `cgroup ${path}`, facts: `of run ${runId}, which has ended` })
    }
  }
  return found
}

/** Nothing is looked at where no engine answers. */
export async function findContainers(ended: ReadonlySet<string>): Promise<Leftovers> {
  const format = '{{.ID}} {{.Names}} {{.Status}} {{.Command}} {{.Mounts}} {{.Labels}}'
  const listed = await execa('docker', ['container', 'ls', '--all', '--no-trunc', '--format', format], {
    reject: false,
    timeout: 30_000,
  })
  const lines = listed.exitCode === 0 ? listed.stdout.split('\n').filter((line) => line !== '') : []
  const left = lines.flatMap((line) => {
    const runId = findRunIn(line, ended)
    return runId === undefined
      ? []
      : [{ about: `container ${line.slice(0, 12)}`, facts: `of run ${runId}, which has ended: ${line.slice(65, 265)}` }]
  })
  return { looked: lines.length, left }
}
