import { describe, expect, it } from 'vitest'
import { Plan } from '../domain/plan.ts'
import { explainPlan } from './explain-plan.ts'
import { compileText, image, mistakesIn, onBranch, stepOf, wordsAbout } from './testing.ts'

const on = ['failed', 'errored', 'timed_out', 'cancelled']
const back = (name: string): string => `${name} goes back to the newest kept release, verified like a deployment`

const text = `steps:
  image: { ${image} }
  stage: { deploy: { environment: staging } }
  accept: { commands: [x], settle: true, when: { branch: main } }
  register: { needs: [stage], commands: [x], undo: { commands: [y] } }
  produce: { needs: [accept], deploy: { environment: production } }
  smoke: { commands: [x], undo: { commands: [z] }, settle: true }
  late: { needs: [register, smoke], commands: [x] }
`

describe('a step with `settle`', () => {
  it('may be of any kind, and the plan says so; false says nothing', () => {
    const kinds = compileText(`steps:
  a: { commands: [x], settle: true }
  i: { ${image}, settle: true }
  r: { release: { from: [i] }, settle: true }
  d: { deploy: { environment: staging }, settle: true }
  b: { commands: [x], settle: false }
`)
    expect(kinds.steps.map(({ settle }) => settle)).toEqual([true, true, true, true, undefined])
    expect(kinds.steps.map((step) => 'settle' in step)).toEqual([true, true, true, true, false])
    expect(Plan.parse(kinds)).toEqual(kinds)
  })

  it('is no step of a release that Belay adds after it', () => {
    const plan = compileText(`steps: { i: { ${image}, settle: true } }`)
    expect(plan.steps.map(({ id, settle }) => [id, settle])).toEqual([
      ['i', true],
      ['i_release', undefined],
    ])
  })

  it('is a segment of its own: what follows begins when it has settled', () => {
    const { segments } = compileText(
      'steps: { a: { commands: [x] }, b: { commands: [x], settle: true }, c: { commands: [x] }, d: { commands: [x], settle: false } }',
    )
    expect(segments.map(({ steps }) => steps)).toEqual([['a'], ['b'], ['c', 'd']])
  })

  it('is explained: until when each undo is owed, and what each point discharges, but no branch beside it', () => {
    const { undo, settles } = explainPlan(compileText(text))
    expect(undo).toEqual([
      { step: 'smoke', does: 'runs `z` (up to 5 times)', on, until: ['smoke'] },
      { step: 'produce', does: back('production'), on, until: ['smoke'] },
      { step: 'register', does: 'runs `y` (up to 5 times)', on },
      { step: 'stage', does: back('staging'), on, until: ['accept'] },
    ])
    expect(settles).toEqual([
      { step: 'accept', discharges: ['stage'] },
      { step: 'smoke', discharges: ['stage', 'produce', 'smoke'] },
    ])
  })

  it('settles nothing where its `when` leaves it out', () => {
    const { undo, settles } = explainPlan(compileText(text, onBranch('dev')))
    expect([undo.map(({ step, until }) => [step, until]), settles]).toEqual([
      [
        ['register', undefined],
        ['stage', undefined],
      ],
      [],
    ])
  })

  it('of two branches is the first of either', () => {
    const { undo } = explainPlan(
      compileText(`steps:
  a: { commands: [x], undo: { commands: [y] } }
  b: { needs: [a], commands: [x], settle: true }
  c: { needs: [a], commands: [x], settle: true }
`),
    )
    expect(undo.map(({ until }) => until)).toEqual([['b', 'c']])
  })

  it('may settle nothing', () => {
    const plan = compileText('steps: { a: { commands: [x], settle: true } }')
    expect(stepOf(plan, 'a', 'commands').settle).toBe(true)
    expect(explainPlan(plan).settles).toEqual([{ step: 'a', discharges: [] }])
  })

  it.each([
    [
      'a word that is none',
      'steps: { a: { commands: [x], settle: maybe } }',
      '1:38 invalid_value',
      '"settle" must be true or false | ',
    ],
    [
      'a step of finally',
      'steps: { a: { commands: [x] } }\nfinally:\n  b:\n    commands: [x]\n    settle: true\n',
      '5:5 unknown_key',
      'unknown key "settle" in step "b" | a run has settled or was taken back before `finally`; `settle` is for the steps before',
    ],
    [
      'the whole pipeline',
      'settle: true\nsteps: { a: { commands: [x] } }\n',
      '1:1 unknown_key',
      'unknown key "settle" in the pipeline | `settle` belongs to the step that settles what is before it',
    ],
  ])('is refused of %s', (_what, wrong, mistake, words) => {
    expect(mistakesIn(wrong)).toEqual([mistake])
    expect(wordsAbout(wrong)).toBe(words)
  })
})
