import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaults } from './defaults.ts'
import { knownKeys } from './schema.ts'
import { compileText, mistakesIn } from './testing.ts'
import { vocabulary } from './vocabulary.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/pipeline.md'), 'utf8')
const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml]) => yaml ?? '')
const notYet = text.slice(text.indexOf('## Not yet'))

describe('docs/pipeline.md', () => {
  it('has examples, each of which compiles', () => {
    expect(examples.length).toBeGreaterThan(1)
    for (const yaml of examples) expect(compileText(yaml).steps).not.toEqual([])
  })

  it('shows every key that is carried out in its whole example, or names it', () => {
    const unnamed = Object.values(knownKeys)
      .flat()
      .filter((key) => !text.includes(`\`${key}\``) && !text.includes(`${key}:`))
    expect(unnamed).toEqual([])
  })

  it('names every key that is refused as not yet', () => {
    const words = Object.values(vocabulary).flatMap((place) => place.notYet ?? [])
    expect(words.filter((word) => !notYet.includes(`\`${word}\``))).toEqual([])
  })

  it.each(wordsOf('pipeline'))('says rightly that the pipeline key %s is not carried out', (key) => {
    expect(mistakesIn(`${key}: x\nsteps: { a: { commands: [x] } }\n`)).toEqual(['1:1 not_yet'])
  })

  it.each(wordsOf('step'))('says rightly that the step key %s is not carried out', (key) => {
    expect(mistakesIn(`steps:\n  a:\n    commands: [x]\n    ${key}: x\n`)).toEqual(['4:5 not_yet'])
  })

  it('has the defaults of the code', () => {
    const { stepTimeoutMs, runTimeoutMs, undo, graceMs, retry, health, bakeMs, migrateTimeoutMs } = defaults
    expect(rows('Defaults')).toEqual({
      step: `${stepTimeoutMs / 60_000}m`,
      run: `${runTimeoutMs / 3_600_000}h`,
      undo: `${undo.timeoutMs / 60_000}m × ${undo.attempts}`,
      'SIGTERM to SIGKILL': seconds(graceMs),
      'retry, if written at all': `on ${retry.on.join(', ')}; backoff ${seconds(retry.backoffMs)}`,
      health: `${health.http}, interval ${seconds(health.intervalMs)}, healthy_after ${health.healthyAfter}, unhealthy_after ${health.unhealthyAfter}, timeout ${seconds(health.timeoutMs)}`,
      bake: seconds(bakeMs),
      migration: `${migrateTimeoutMs / 60_000}m`,
    })
  })
})

/** The words in code marks on the line of "Not yet" that is about that place. */
function wordsOf(place: string): string[] {
  const line = notYet.split('\n').find((candidate) => candidate.startsWith(`- ${place}:`)) ?? ''
  return [...line.matchAll(/`([a-z_]+)`/g)].map(([, word]) => word ?? '')
}

/** The two columns of a section's table, without its head. */
function rows(section: string): Record<string, string> {
  const [, body = ''] = text.split(`## ${section}\n`)
  const table =
    body
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('|')) ?? []
  return Object.fromEntries(
    table.slice(2).map((line) => {
      const [, name = '', value = ''] = line.split('|').map((cell) => cell.trim())
      return [name, value]
    }),
  )
}

function seconds(ms: number): string {
  return `${ms / 1_000}s`
}
