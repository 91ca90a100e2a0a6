/** Command lines of other CI files: which of them can run here as they stand, and with which variables. */

export interface CiDialect {
  /** The variables that only that CI sets. */
  own: RegExp
  /** Those of them that have an equal here: its name. */
  equal: Readonly<Record<string, string>>
}

export interface TakenLines {
  commands: string[]
  /** Why something was left out. */
  notes: string[]
}

const longestLine = 20_000

/** Items that can run as they are; a first one sets what they use of the other CI's variables. */
export function takeLines(items: readonly string[], dialect: CiDialect): TakenLines {
  const commands: string[] = []
  const notes: string[] = []
  const used = new Set<string>()
  for (const item of items) {
    const line = item.replaceAll('\r\n', '\n').trimEnd()
    if (line.trim() === '') continue
    const names = variablesOf(line, dialect.own)
    const refusal = refuseLine(line) ?? refuseVariable(names, dialect)
    if (refusal !== undefined) {
      notes.push(`${refusal}: ${line}`)
      continue
    }
    commands.push(line)
    for (const name of names) used.add(name)
  }
  const settings = [...used].sort().map((name) => `${name}="$${dialect.equal[name] ?? ''}"`)
  return { commands: settings.length === 0 ? commands : [`export ${settings.join(' ')}`, ...commands], notes }
}

function refuseLine(line: string): string | undefined {
  if (line.includes('\0')) return 'means something only there'
  if (line.includes('${{')) return 'holds an expression'
  if (line.length > longestLine) return 'is very long'
  if (/(?:^|[\s;&|(])sudo\s/.test(line)) return 'needs root, which no step is'
  if (/(?:^|[\s;&|(])(?:apt-get|apt|apk|yum|dnf|brew)\s+(?:-\S+\s+){0,6}(?:update|upgrade|install|add)\b/.test(line))
    return "installs programs: the runner's machine must have them"
  return undefined
}

function variablesOf(line: string, own: RegExp): string[] {
  return [...line.matchAll(/\$\{?([A-Za-z_][A-Za-z0-9_]*)/g)].flatMap(([, name = '']) => (own.test(name) ? [name] : []))
}

function refuseVariable(names: readonly string[], { equal }: CiDialect): string | undefined {
  const unknown = names.find((name) => !Object.hasOwn(equal, name))
  return unknown === undefined ? undefined : `uses $${unknown}`
}

/** `sh` unless the lines hold what only bash knows. */
export function shellFor(commands: readonly string[]): { shell?: 'bash' } {
  const bash =
    /\[\[|<\(|>\(|<<<|&>|\$'|\bpipefail\b|\bshopt\b|\bdeclare\b|\bmapfile\b|\bfunction\s+\w|\w=\(|\$\{\w+(?:\/|\^|,|:\d|\[)|\{\d+\.\.\d+\}|(?:^|[;&|]\s*)source\s/m
  return commands.some((command) => bash.test(command)) ? { shell: 'bash' } : {}
}

/** Belay sets these itself. */
const reserved = /^(?:PATH|HOME|TMPDIR|CI|BELAY|BELAY_.*|__proto__)$/

/** Plain variables; the names of those that are not plain, or not for a pipeline to set. */
export function takeEnv(pairs: readonly (readonly [string, unknown])[]): { env: Record<string, string>; left: string[] } {
  const env: Record<string, string> = {}
  const left: string[] = []
  for (const [name, value] of pairs) {
    const plain = typeof value === 'string' && !value.includes('$') && !value.includes('\0') && value.length < 10_000
    if (plain && /^[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(name) && !reserved.test(name)) env[name] = value
    else left.push(name)
  }
  return { env, left }
}

/** Everything at most `most` long: a hostile file must not make a pipeline that no limit would take. */
export const mostTaken = { files: 20, jobs: 60, bytes: 200_000 } as const

/** The note on what was not even looked at. */
export function moreThanTaken(count: number, what: string): string[] {
  return count > mostTaken.jobs ? [`${what} after the first ${String(mostTaken.jobs)}`] : []
}
