import type { Example, Finding, FoundStep } from './finding.ts'
import { uniqueIds } from './step-ids.ts'
import { comment, flowScalar, scalar } from './yaml-text.ts'

export interface Draft {
  /** Steps that are written, in order. */
  steps: readonly FoundStep[]
  /** All that was found, for the comments. */
  findings: readonly Finding[]
  /** The branch that the repository is released from. */
  branch: string
}

const mostNotes = 40

/** The text of a `.belay.yml`. Pure; what comes from the repository is quoted, or stands in a comment of one line. */
export function writePipeline({ steps, findings, branch }: Draft): string {
  const ids = uniqueIds(steps.map(({ id }) => id))
  return [
    '# Written by `belay init`. `belay validate` checks it, `belay plan` shows what it would do.',
    'name: ci',
    '# Every push starts it; with this line only pushes to one branch would.',
    `# when: [{ event: push, branch: [${isPlainBranch(branch) ? flowScalar(branch) : 'main'}] }, { event: manual }]`,
    'steps: # one after another, in one checkout of the commit',
    ...steps.flatMap((step, index) => stepLines(ids[index] ?? step.id, step)),
    ...findings.flatMap(noteLines),
    ...findings.flatMap(({ example }) => (example === undefined ? [] : exampleLines(example))),
    '',
  ].join('\n')
}

/** One that can stand in a comment, and means in `when` what it says. */
function isPlainBranch(branch: string): boolean {
  return /^[A-Za-z0-9_./-]{1,100}$/.test(branch)
}

function stepLines(id: string, step: FoundStep): string[] {
  return [
    `  ${comment(step.why)}`,
    `  ${id}:`,
    ...(step.directory === undefined ? [] : [`    working_directory: ${scalar(step.directory, 6)}`]),
    ...(step.shell === undefined ? [] : [`    shell: ${step.shell}`]),
    ...envLines(step.env ?? {}),
    '    commands:',
    ...step.commands.map((command) => `      - ${scalar(command, 8)}`),
  ]
}

function envLines(env: Readonly<Record<string, string>>): string[] {
  const pairs = Object.entries(env)
  if (pairs.length === 0) return []
  return ['    env:', ...pairs.map(([name, value]) => `      ${name}: ${value === '' ? "''" : scalar(value, 8)}`)]
}

function noteLines({ why, notes }: Finding): string[] {
  if (notes.length === 0) return []
  const more = notes.length - mostNotes
  return [
    '',
    comment(`${why}. Not taken over:`),
    ...notes.slice(0, mostNotes).map((note) => comment(`- ${note}`)),
    ...(more > 0 ? [comment(`- and ${String(more)} more`)] : []),
  ]
}

/** What `#` precedes is YAML as it would be written, so that taking the two characters away is all it needs. */
function exampleLines({ why, text }: Example): string[] {
  return [
    '',
    comment(why),
    ...text
      .trimEnd()
      .split('\n')
      .map((line) => `#   ${line}`),
  ]
}
