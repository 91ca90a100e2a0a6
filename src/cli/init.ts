import { lstatSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { BelayError } from '../domain/errors.ts'
import { writeFileDurably } from '../process/durable-file.ts'
import { cell, paint, printJson, printTable } from './format.ts'
import { examine, type Examined } from './init/examine.ts'
import { checkOwnText } from './init/own-text.ts'
import { openRepository } from './init/open-repository.ts'
import { writePipeline } from './init/write-pipeline.ts'
import type { Io } from './io.ts'

interface InitFlags {
  force?: true
  print?: true
  ci: boolean
  json?: true
}

const file = '.belay.yml'

export function initCommand(io: Io): Command {
  return new Command('init')
    .description('look at the repository and write a .belay.yml that builds and tests it')
    .option('--force', `replace a ${file} that is there`)
    .option('--print', 'print the file and write nothing')
    .option('--no-ci', 'do not look at the files of other CI systems')
    .option('--json', 'print JSON')
    .action(async (flags: InitFlags) => {
      const { root, branch, tree } = await openRepository(io)
      const writes = flags.print !== true
      if (writes && flags.force !== true) refuseExisting(root, tree.list('.belay/*.yml'))
      const examined = examine(tree, { branch, ci: flags.ci })
      if (examined.steps.length === 0) throw nothingFound(examined)
      const text = writePipeline({ ...examined, branch })
      const ids = checkOwnText(text)
      // Neither way follows a link of that name: it is replaced, or in the way.
      if (writes && flags.force === true) writeFileDurably(join(root, file), text, 0o644)
      else if (writes) writeFileSync(join(root, file), text, { flag: 'wx' })
      if (flags.json === true) printJson(io, { path: file, written: writes, steps: ids, findings: describe(examined), text })
      else if (writes) report(io, examined, ids)
      else io.out(text)
    })
}

/** Also if it is a link that leads nowhere. Pipelines of `.belay/` would run beside the new one. */
function refuseExisting(root: string, others: readonly string[]): void {
  const existing = lstatSync(join(root, file), { throwIfNoEntry: false }) === undefined ? others[0] : file
  if (existing === undefined) return
  throw new BelayError({
    code: 'conflict',
    message: `there is a pipeline already: ${existing}`,
    hint: 'See what would be written with --print; write it with --force.',
  })
}

function nothingFound({ findings }: Examined): BelayError {
  const notes = findings.flatMap(({ why, notes: all }) => all.slice(0, 5).map((note) => `\n  ${cell(`${why}: ${note}`, 120)}`))
  return new BelayError({
    code: 'not_found',
    message: `found nothing here to build or test (looked for Node, Go, Python, Java, Rust, and other CI files)${notes.join('')}`,
    hint: `The smallest ${file} is \`steps: { test: { commands: [make test] } }\`; docs/pipeline.md has the rest.`,
  })
}

function describe({ findings }: Examined) {
  return findings.map(({ kind, why, steps, notes }) => ({ kind, why, steps: steps.map(({ id }) => id), notes }))
}

function report(io: Io, { findings }: Examined, ids: readonly string[]): void {
  io.out('found:\n')
  printTable(
    io,
    findings.map(({ kind, why, steps, notes }) => [
      `  ${paint(io, 'bold', kind)}`,
      cell(why, 90),
      steps.length === 0 && notes.length > 0 ? 'not used' : notes.length > 0 ? 'in part: see the comments' : '',
    ]),
  )
  io.out(`wrote ${file}: ${ids.join(', ')}\n`)
  io.out('next: read it, `belay plan`, commit it\n')
}
