import { describe, expect, it } from 'vitest'
import { explainPlan } from './explain-plan.ts'
import { compileText, image, mistakesIn, stepOf, wordsAbout } from './testing.ts'

const deploying = (deploy: string, more = ''): string => `steps:\n  i: { ${image} }\n  d: { ${more}deploy: { ${deploy} } }\n`

describe('a deployment to several environments', () => {
  it('keeps their order and how many go at once, and has no single one', () => {
    const plan = compileText(deploying('environments: [staging, production], at_once: 1, bake: { for: 10m }'))
    const { deploy, timeoutMs } = stepOf(plan, 'd', 'deploy')
    expect(deploy).toEqual({
      environments: ['staging', 'production'],
      atOnce: 1,
      strategy: 'blue_green',
      health: {},
      bakeMs: 600_000,
    })
    // One bake after the other.
    expect(timeoutMs).toBe((30 + 2 * 10) * 60_000)
  })

  it('bakes all at once unless it says otherwise', () => {
    const plan = compileText(deploying('environments: [staging, production], bake: { for: 10m }'))
    expect(stepOf(plan, 'd', 'deploy').timeoutMs).toBe((30 + 10) * 60_000)
  })

  it('is printed with its pace, and with a way back for each', () => {
    const { deployments, undo } = explainPlan(compileText(deploying('environments: [staging, production], at_once: 1')))
    expect(deployments).toEqual([{ step: 'd', environments: ['staging', 'production'], atOnce: 1 }])
    expect(undo).toMatchObject([
      {
        step: 'd',
        does: 'each of staging, production that was touched goes, the last first, back to its own newest kept release, verified like a deployment',
      },
    ])
  })

  it.each([
    ['neither one nor several', 'strategy: recreate', ['3:8 missing_key'], 'or `environments` of several'],
    ['one and several', 'environment: staging, environments: [production]', ['3:31 misplaced_key'], 'under `environments`'],
    ['the same one twice', 'environments: [staging, staging]', ['3:42 duplicate_key'], '"staging" is there twice'],
    ['one that the project has not', 'environments: [staging, prod]', ['3:42 unknown_environment'], 'no environment "prod"'],
    ['more at once than there are', 'environments: [staging, production], at_once: 3', ['3:64 invalid_value'], 'say 1 to 2'],
    ['none at once', 'environments: [staging, production], at_once: 0', ['3:64 invalid_value'], 'from 1 to 50'],
    ['a pace for one', 'environment: staging, at_once: 1', ['3:49 misplaced_key'], 'say `environments: [a, b]`'],
    ['one that cannot run the image', 'environments: [staging, eu]', ['3:42 unfit_image'], '"eu" has the target docker'],
    [
      'a health check that is too loose for one',
      'environments: [staging, production], health: { interval: 3s }',
      ['3:75 loosens_health'],
      'for "production"',
    ],
  ])('is refused with its place for %s', (_, deploy, mistakes, says) => {
    expect(mistakesIn(deploying(deploy))).toEqual(mistakes)
    expect(wordsAbout(deploying(deploy))).toContain(says)
  })

  it('is refused if its timeout ends before one bake after the other has', () => {
    const text = deploying('environments: [staging, production], at_once: 1, bake: { for: 10m }', 'timeout: 15m, ')
    expect(mistakesIn(text)).toEqual(['3:17 invalid_value'])
    expect(wordsAbout(text)).toContain('of each round')
  })
})
