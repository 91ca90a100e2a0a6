import { describe, expect, it } from 'vitest'
import { formatProblem } from './format-problem.ts'
import type { Problem } from './problem.ts'
import { validatePipeline } from './validate.ts'

function print(text: string): string {
  const read = validatePipeline({ path: '.belay.yml', text })
  return 'problems' in read ? read.problems.map((problem) => formatProblem(problem, text)).join('\n') : ''
}

const problem: Problem = { code: 'yaml', message: 'm', path: 'p', line: 1, column: 1 }

describe('a problem in print', () => {
  it('looks like a compiler’s: place, line, caret, help', () => {
    expect(print('steps:\n  unit:\n    comands: [npm test]\n')).toBe(
      `.belay.yml:3:5: error[unknown_key]: unknown key "comands" in step "unit"
   3 |     comands: [npm test]
     |     ^
help: did you mean "commands"?`,
    )
  })
  it('points at the character also behind tabs and in lines that are very long', () => {
    expect(formatProblem({ ...problem, column: 3 }, '\t\tx')).toContain('\n   1 |   x\n     |   ^')
    const [, line = '', caret = ''] = formatProblem(
      { ...problem, column: 5_001 },
      `${'a'.repeat(5_000)}X${'a'.repeat(5_000)}`,
    ).split('\n')
    expect(line[caret.indexOf('^')]).toBe('X')
    expect(line.length).toBeLessThan(200)
  })
  it('hands no control character of the file to the terminal', () => {
    const printed = print('steps:\n  a: { commands: ["\\e[31m"], "x\\e]0;owned\\a\u202e": y }\n')
    expect(printed).toContain('unknown_key')
    // eslint-disable-next-line no-control-regex -- control characters are what this is about
    expect(printed).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/)
  })
  it('shows no line where there is none to show', () => {
    expect(formatProblem({ ...problem, line: 9 }, 'a')).toBe('p:9:1: error[yaml]: m')
  })
})
