import type { Command } from 'commander'
import type { EnvironmentView } from '../api/environment-schemas.ts'
import type { Release } from '../domain/release.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { cell, formatAge, printJson, printTable, shortDigest, shortSha } from './format.ts'
import type { Io } from './io.ts'
import { parseLimit } from './runs.ts'

interface ReleasesFlags extends CommonFlags {
  project?: string
  limit: number
}

export function releasesCommand(io: Io): Command {
  return clientCommand('releases', 'list releases, newest first, and where each serves now', io)
    .option('-p, --project <name>', 'only of this project')
    .option('-n, --limit <number>', 'how many, at most 200', parseLimit, 20)
    .action(async (flags: ReleasesFlags) => {
      const { project, limit } = flags
      const client = connect(flags, io)
      const [page, environments] = await Promise.all([client.listReleases({ project, limit }), client.listEnvironments()])
      const items = page.items.map((release) => ({ ...release, environments: servedIn(release, environments.items) }))
      if (flags.json === true) printJson(io, { ...page, items })
      else if (items.length === 0) io.out('no releases\n')
      else printReleases(io, items)
    })
}

function servedIn({ id }: Release, environments: readonly EnvironmentView[]): string[] {
  return environments.filter(({ current }) => current?.release.id === id).map(({ name }) => name)
}

function printReleases(io: Io, releases: readonly (Release & { environments: string[] })[]): void {
  const rows = releases.map((release) => [
    `${release.project}#${String(release.number)}`,
    cell(release.version, 20),
    shortSha(release.sha),
    shortDigest(release.image.digest),
    formatAge(release.createdAt),
    release.environments.join(', '),
  ])
  printTable(io, [['RELEASE', 'VERSION', 'COMMIT', 'DIGEST', 'MADE', 'SERVES'], ...rows])
}
