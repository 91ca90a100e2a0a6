import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compilePipeline } from '../../src/pipeline/compile.ts'
import { validatePipeline } from '../../src/pipeline/validate.ts'
import { makeTrigger } from '../contracts/store/samples.ts'
import { environmentNames, fates, filesOf, traits, type Fate, type Written } from './pipelines.ts'
import { readSchemas } from './schemas.ts'

const plain: Written = { fate: 'good', environments: ['red', 'blue'], second: false, slow: false, traits: [] }
const rules = { project: 'chaos', environments: [...environmentNames], secrets: ['canary'], registries: ['main'] }
let notes: string

beforeEach(() => {
  notes = mkdtempSync(join(tmpdir(), 'belay-chaos-notes-'))
})
afterEach(() => rmSync(notes, { recursive: true, force: true }))

describe('a pipeline that is pushed', () => {
  it.each(fates.flatMap((fate) => [undefined, 1, 2].map((atOnce) => [fate, atOnce] as const)))(
    'is a good one: %s, %s at once',
    (fate, atOnce) => {
      for (const some of [[], ...traits.map((trait) => [trait]), traits]) {
        const { steps, finally: last } = planOf({ ...plain, fate, traits: some, ...(atOnce === undefined ? {} : { atOnce }) })
        const deploys = steps.flatMap((step) => (step.kind === 'deploy' ? [step.deploy] : []))
        expect(deploys.map(({ environments }) => environments?.length)).toEqual(
          atOnce === undefined ? [undefined, undefined] : [2],
        )
        expect(deploys.every((deploy) => (deploy.migrate !== undefined) === some.includes('migrates'))).toBe(true)
        expect(last.map(({ id }) => id)).toEqual(some.includes('finally') ? ['tell'] : [])
      }
    },
  )
})

describe('a migration', () => {
  it('goes up and down, whether it was cut and runs again or not', () => {
    for (const command of [commandOf('up', 'good', '7'), commandOf('up', 'good', '8')]) migrate(command)
    expect(readSchemas(notes).applied('red')).toEqual(['7', '8'])
    for (const what of ['up', 'down', 'down'] as const) migrate(commandOf(what, 'good', '8'))
    const { applied, lines, strange } = readSchemas(notes)
    expect([applied('red'), applied('blue'), strange]).toEqual([['7'], [], []])
    expect(lines.slice(-2)).toMatchObject([
      { what: 'down', when: 'begin', environment: 'red', version: '8' },
      { what: 'down', when: 'end', environment: 'red', version: '8' },
    ])
  })

  it('of a broken release says no, and can be taken down', () => {
    expect(() => migrate(commandOf('up', 'broken', '7'))).toThrow('migrate.cjs up 7')
    expect(readSchemas(notes).applied('red')).toEqual(['7'])
    migrate(commandOf('down', 'broken', '7'))
    expect(readSchemas(notes).applied('red')).toEqual([])
  })
})

function planOf(written: Written, version = '7') {
  const text = filesOf(written, { version, notes })['.belay/ship.yml'] ?? ''
  const read = validatePipeline({ path: '.belay/ship.yml', text }, rules)
  const trigger = makeTrigger({ branch: 'main' })
  const compiled = 'document' in read ? compilePipeline({ document: read.document, trigger, rules }) : read
  if (!('plan' in compiled)) throw new Error(JSON.stringify(compiled))
  return compiled.plan
}

function commandOf(what: 'up' | 'down', fate: Fate, version: string): string[] {
  const step = planOf({ ...plain, fate, traits: ['migrates'] }, version).steps.find(({ kind }) => kind === 'deploy')
  return (step?.kind === 'deploy' ? step.deploy.migrate?.[what] : undefined) ?? []
}

/** As the keeper does, with the image's files below a directory. */
function migrate([file = '', program = '', ...args]: string[]): void {
  const image = join(notes, 'image')
  mkdirSync(image, { recursive: true })
  writeFileSync(join(image, 'migrate.cjs'), filesOf(plain, { version: '7', notes })['migrate.cjs'] ?? '')
  execFileSync(file, [program.replace('/app', image), ...args], {
    env: { ...process.env, BELAY_COMMAND: 'red' },
    stdio: 'ignore',
  })
  expect(readFileSync(join(notes, 'migrations'), 'utf8')).toContain('begin red')
}
