import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { expectedLines, printLines, readLines } from './expected-lines.ts'

const whole = expectedLines('build', 12)
const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')

it('a step that prints its lines prints those that are expected', async () => {
  const { stdout } = await execa('sh', ['-c', printLines(12)], { env: { BELAY_STEP: 'build' } })
  expect(stdout.split('\n')).toEqual(whole)
  const parts = [printLines(12, { to: 5 }), printLines(12, { from: 6 })].join('; ')
  expect((await execa('sh', ['-c', parts], { env: { BELAY_STEP: 'build' } })).stdout).toBe(stdout)
})

it('the command stands in one line and has no single quote, so that a pipeline can hold it as it is', () => {
  expect(printLines(12)).not.toMatch(/['\n]/)
})

describe('reading them', () => {
  it.each<[string, string, ReturnType<typeof readLines>]>([
    ['all of them', text(whole), { whole: 12, count: 12 }],
    [
      'among lines of others',
      `$ make\n${text(whole.slice(0, 3))}[belay] kept 1 artifact\nbuilder: fine\n${text(whole.slice(3))}`,
      { whole: 12, count: 12 },
    ],
    ['a part of them', text(whole.slice(0, 3)), { whole: 3, count: 12 }],
    [
      'a part with a torn line',
      `${text(whole.slice(0, 3))}build line 4 o\n[belay] cut off: the runner was killed\n`,
      { whole: 3, count: 12 },
    ],
    ['a torn line that looks like a whole one', `${text(whole.slice(0, 3))}build line 4 of 1`, { whole: 3, count: 12 }],
    ['a torn first line', 'build li', { whole: 0 }],
    ['nothing', '', { whole: 0 }],
  ])('%s', (_, log, printed) => {
    expect(readLines('build', log)).toEqual(printed)
  })

  it.each<[string, string[], number]>([
    ['a gap', [...whole.slice(0, 3), ...whole.slice(4)], 3],
    ['a line twice', [...whole.slice(0, 3), ...whole.slice(2)], 3],
    ['a beginning that is missing', whole.slice(1), 0],
    ['a torn line in the middle', [...whole.slice(0, 3), 'build line 4 o', ...whole.slice(3)], 3],
    ['another number of lines', [...whole.slice(0, 3), 'build line 4 of 13'], 3],
    ['what no step prints', [...whole, 'build is done'], 12],
  ])('finds %s', (_, lines, after) => {
    expect(readLines('build', text(lines)).fault).toContain(`after line ${String(after)} comes "build `)
  })
})
