import type { RollbackPreview, VariableChange } from '../api/environment-schemas.ts'
import type { EnvValue } from '../domain/plan.ts'
import type { ReleaseRef } from '../domain/release.ts'
import { cell, formatTime, shortSha } from './format.ts'
import type { Io } from './io.ts'
import { printable } from './terminal-text.ts'

/** What a rollback would do, for people. */
export function printPreview(io: Io, preview: RollbackPreview): void {
  const { environment, from, to, servedAt, start, variables, migrations, interrupts, queue, provisional, frozen } = preview
  const line = (name: string, text: string): void => io.out(`  ${name.padEnd(11)} ${text}\n`)
  io.out(`${environment} ${from === undefined ? 'serves nothing' : `serves release ${describe(from)}`}\n`)
  io.out(`would go to release ${describe(to)}\n`)
  line('served', `last from ${formatTime(servedAt)}`)
  line('start', starts[start])
  if (variables === undefined) line('variables', 'what the running release was given is not known')
  else if (variables.length === 0) line('variables', 'as they are')
  for (const change of variables ?? []) line('variable', describeChange(change))
  if (migrations.length === 0) line('migrations', 'none')
  for (const migration of migrations) line('migration', printable(migration))
  if (interrupts !== undefined) line('interrupts', `the deployment of release ${String(interrupts.release.number)}`)
  for (const { release, reason } of queue)
    line('queued', `release ${String(release.number)}, goes on after it${reason === undefined ? '' : ` (${cell(reason, 100)})`}`)
  for (const { release } of provisional) line('provisional', `release ${String(release.number)}: its run has not settled`)
  if (frozen !== undefined) line('frozen', `${printable(frozen.reason)}: a rollback goes all the same`)
}

const starts = {
  cold: 'cold: started anew from its image, checked, then switched to',
  warm: 'warm: its instances still run',
  serves: 'it serves already',
} as const

function describe({ number, image, version, sha }: ReleaseRef): string {
  return `${String(number)} ${image.digest} (${printable(version)}, commit ${shortSha(sha)})`
}

function describeChange({ name, from, to }: VariableChange): string {
  if (from === undefined) return `${printable(name)}: new, ${describeValue(to)}`
  return `${printable(name)}: ${describeValue(from)} → ${to === undefined ? 'gone' : describeValue(to)}`
}

function describeValue(value: EnvValue | undefined): string {
  if (value === undefined) return 'nothing'
  return 'secret' in value ? `the secret ${printable(value.secret)}` : JSON.stringify(cell(value.value, 80))
}
