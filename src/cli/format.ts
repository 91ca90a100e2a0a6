import { styleText } from 'node:util'
import type { RunStatus } from '../domain/run.ts'
import type { StepStatus } from '../domain/step.ts'
import type { Io } from './io.ts'
import { printable } from './terminal-text.ts'

export function printJson(io: Io, value: unknown): void {
  io.out(`${JSON.stringify(value, undefined, io.terminal ? 2 : undefined)}\n`)
}

/** Columns as wide as their widest cell, two spaces apart; cells may be coloured, and are expected to be printable. */
export function printTable(io: Io, rows: readonly (readonly string[])[]): void {
  const widths: number[] = []
  for (const row of rows) row.forEach((text, index) => (widths[index] = Math.max(widths[index] ?? 0, widthOf(text))))
  for (const row of rows) {
    const cells = row.map((text, index) => text + ' '.repeat((widths[index] ?? 0) - widthOf(text)))
    io.out(`${cells.join('  ').trimEnd()}\n`)
  }
}

function widthOf(text: string): number {
  return text.replace(/\u001b\[[0-9;]*m/g, '').length
}

type Style = Parameters<typeof styleText>[0]

export function paint(io: Io, style: Style, text: string): string {
  // Whether there is a terminal was decided once, in `io`.
  return io.terminal ? styleText(style, text, { validateStream: false }) : text
}

const styles: Partial<Record<RunStatus | StepStatus, Style>> = {
  succeeded: 'green',
  failed: 'red',
  errored: 'red',
  timed_out: 'red',
  rolled_back: 'magenta',
  rollback_failed: 'red',
  rollback_blocked: 'red',
  cancelled: 'yellow',
  running: 'cyan',
  skipped: 'gray',
  queued: 'gray',
}

export function paintStatus(io: Io, status: RunStatus | StepStatus): string {
  const style = styles[status]
  return style === undefined ? status : paint(io, style, status)
}

/** `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${String(Math.round(ms))} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${String(minutes)} min ${String(Math.floor((ms % 60_000) / 1000)).padStart(2, '0')} s`
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, '0')} min`
}

/** `812 B`, `1.5 KB`, `3.2 GB`: of 1024 each. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1)
  return `${power === 0 ? String(bytes) : (bytes / 1024 ** power).toFixed(1)} ${units[power] ?? ''}`
}

/** Local time with its zone. */
export function formatTime(ms: number): string {
  return new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'long' }).format(ms)
}

export function formatAge(ms: number, now = Date.now()): string {
  const age = Math.max(0, now - ms)
  if (age < 60_000) return `${String(Math.floor(age / 1000))} s ago`
  if (age < 3_600_000) return `${String(Math.floor(age / 60_000))} min ago`
  if (age < 86_400_000) return `${String(Math.floor(age / 3_600_000))} h ago`
  return `${String(Math.floor(age / 86_400_000))} d ago`
}

export function shortSha(sha: string): string {
  return sha.slice(0, 7)
}

/** `sha256:` and the first twelve digits: enough to tell two apart, and the whole is a `--json` away. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12)
}

/** Somebody else's text in one cell. */
export function cell(text: string, most = 60): string {
  const plain = printable(text)
  return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain
}
