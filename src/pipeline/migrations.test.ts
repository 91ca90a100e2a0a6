import { describe, expect, it } from 'vitest'
import { explainPlan } from './explain-plan.ts'
import { compileText, image, mistakesIn, stepOf, wordsAbout } from './testing.ts'

const migrating = (migrate: string, more = ''): string =>
  `steps:\n  i: { ${image} }\n  d: { deploy: { environment: staging, ${more}migrate: { ${migrate} } } }\n`

describe('a migration', () => {
  it('is in the plan with both commands and its time', () => {
    const plan = compileText(migrating('up: [./migrate, up], down: [./migrate, down], reversible: true, timeout: 10m'))
    const { deploy, timeoutMs } = stepOf(plan, 'd', 'deploy')
    expect(deploy.migrate).toEqual({ up: ['./migrate', 'up'], down: ['./migrate', 'down'], timeoutMs: 600_000 })
    expect(timeoutMs).toBe((30 + 10) * 60_000)
  })

  it('is printed where it runs, and on the way back', () => {
    const { deployments, undo } = explainPlan(compileText(migrating('up: [./migrate, up], down: [./migrate, down]')))
    expect(deployments).toMatchObject([{ migration: 'first `./migrate up` with the new image, while the old release serves' }])
    expect(undo).toMatchObject([
      { does: expect.stringContaining('; then `./migrate down` with the image of the release that was taken back') as string },
    ])
  })

  it.each(['up: [a]', 'up: [a], reversible: false'])('without a way down parks the run, and the plan says so: %s', (migrate) => {
    const plan = compileText(migrating(migrate))
    expect(stepOf(plan, 'd', 'deploy').deploy.migrate).toEqual({ up: ['a'], timeoutMs: 300_000 })
    expect(explainPlan(plan).undo).toMatchObject([{ does: expect.stringContaining('the run waits for a person') as string }])
  })

  it.each([
    ['no `up`', 'down: [a]', ['3:40 missing_key'], '"migrate" needs the key "up"'],
    ['a text in place of a list', 'up: ./migrate up', ['3:55 invalid_value'], 'a list: program and arguments'],
    ['reversible without a way down', 'up: [a], reversible: true', ['3:40 missing_key'], '"migrate" needs the key "down"'],
    ['a way down of what has none', 'up: [a], reversible: false, down: [b]', ['3:85 misplaced_key'], 'take `down` out'],
    ['neither true nor false', 'up: [a], reversible: yes', ['3:72 invalid_value'], 'true or false'],
    ['the order that would hold traffic', 'up: [a], down: [b], order: down_first', ['3:71 not_yet'], 'not carried out yet'],
    ['another key', 'up: [a], undo: [b]', ['3:60 unknown_key'], 'say `down: [program, argument]`'],
  ])('is refused with its place for %s', (_, migrate, mistakes, says) => {
    expect(mistakesIn(migrating(migrate))).toEqual(mistakes)
    expect(wordsAbout(migrating(migrate))).toContain(says)
  })

  it('belongs under `deploy`', () => {
    const text = `steps: { a: { commands: [x], migrate: { up: [a] } } }`
    expect(mistakesIn(text)).toEqual(['1:30 unknown_key'])
    expect(wordsAbout(text)).toContain('`migrate` belongs under `deploy`')
  })
})
