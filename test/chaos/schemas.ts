/**
 * What migrations do: each environment has a schema, a file with the versions that are applied, the newest last; and every command
 * writes down that it began and that it ended.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Migration } from '../../src/domain/environment.ts'

/** `up|down VERSION NOTES [no]`: both may run again after a kill in their middle; `no`: it does its work, and fails all the same. */
export const migrateProgram = `
const fs = require('node:fs')
const [what, version, notes, says] = process.argv.slice(2)
const environment = process.env.BELAY_COMMAND
const file = notes + '/schema.' + environment
const note = (when) => fs.appendFileSync(notes + '/migrations', [what, when, environment, version, Date.now()].join(' ') + '\\n')
note('begin')
const applied = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\\n').filter((line) => line !== '') : []
if (what === 'up' && applied.at(-1) !== version) applied.push(version)
if (what === 'down' && applied.at(-1) === version) applied.pop()
const written = fs.openSync(file + '.new', 'w', 0o666)
fs.writeSync(written, applied.map((line) => line + '\\n').join(''))
fs.fsyncSync(written)
fs.closeSync(written)
fs.renameSync(file + '.new', file)
note('end')
if (says === 'no') process.exit(3)
`

/** The `migrate` of a deployment, for a pipeline. */
export function migrateKey({ version, notes, good }: { version: string; notes: string; good: boolean }): string {
  const command = (what: 'up' | 'down') => `[node, /app/migrate.cjs, ${what}, "${version}", "${notes}"${good ? '' : ', no'}]`
  return `{ up: ${command('up')}, down: ${command('down').replace(', no]', ']')}, timeout: 20s }`
}

/** Which version a migration of such a pipeline brings. */
export function versionOf({ up }: Pick<Migration, 'up'>): string {
  return up[3] ?? ''
}

/** One line of what migrations have written down. */
export interface MigrationLine {
  what: 'up' | 'down'
  when: 'begin' | 'end'
  environment: string
  version: string
  at: number
}

export interface Schemas {
  /** In the order in which they were written. */
  lines: MigrationLine[]
  /** What is no such line. */
  strange: string[]
  /** The versions that are applied in an environment, the newest last. */
  applied(environment: string): string[]
}

export function readSchemas(notes: string): Schemas {
  const parsed = linesOf(join(notes, 'migrations')).map((line) => ({ line, migration: parseLine(line) }))
  return {
    lines: parsed.flatMap(({ migration }) => migration ?? []),
    strange: parsed.flatMap(({ line, migration }) => (migration === undefined ? [line] : [])),
    applied: (environment) => linesOf(join(notes, `schema.${environment}`)),
  }
}

function linesOf(file: string): string[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
}

function parseLine(line: string): MigrationLine | undefined {
  const [, what, when, environment, version, at] = /^(up|down) (begin|end) (\w+) (\w+) (\d+)$/.exec(line) ?? []
  if (what === undefined || environment === undefined || version === undefined) return undefined
  return { what: what === 'up' ? 'up' : 'down', when: when === 'begin' ? 'begin' : 'end', environment, version, at: Number(at) }
}
