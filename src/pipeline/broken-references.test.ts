import { describe, expect, it } from 'vitest'
import type { Broken } from './testing.ts'
import { image, mistakesIn, wordsAbout } from './testing.ts'

const broken: Broken[] = [
  {
    rule: 'a need that is not there',
    text: 'steps:\n  unit: { commands: [x] }\n  b: { needs: [unti], commands: [x] }\n',
    mistakes: ['3:16 unknown_step'],
    says: 'did you mean "unit"?',
  },
  {
    rule: 'a step that needs itself',
    text: 'steps: { a: { needs: [a], commands: [x] } }',
    mistakes: ['1:15 needs_cycle'],
    says: '"a" needs itself',
  },
  {
    rule: 'needs in a circle',
    text: 'steps:\n  a: { needs: [c], commands: [x] }\n  b: { commands: [x] }\n  c: { needs: [b], commands: [x] }\n',
    mistakes: ['2:8 needs_cycle'],
    says: 'a → c → b → a | a step without `needs` follows',
  },
  {
    rule: 'a stage without stages',
    text: 'steps: { a: { stage: x, commands: [x] } }',
    mistakes: ['1:15 unknown_stage'],
    says: 'no `stages`',
  },
  {
    rule: 'a step without stage',
    text: 'stages: [build]\nsteps: { a: { commands: [x] } }',
    mistakes: ['2:10 missing_key'],
    says: 'stage: build',
  },
  {
    rule: 'a stage that is not there',
    text: 'stages: [build]\nsteps: { a: { stage: bild, commands: [x] } }',
    mistakes: ['2:22 unknown_stage'],
    says: 'did you mean "build"?',
  },
  {
    rule: 'a stage twice',
    text: 'stages: [a, a]\nsteps: { a: { stage: a, commands: [x] } }',
    mistakes: ['1:13 duplicate_key'],
    says: 'twice',
  },
  {
    rule: 'a need of a later stage',
    text: 'stages: [one, two]\nsteps:\n  a: { stage: one, needs: [b], commands: [x] }\n  b: { stage: two, needs: [], commands: [x] }\n',
    mistakes: ['3:28 later_stage'],
    says: 'earlier ones',
  },

  {
    rule: 'a deployment of nothing',
    text: 'steps:\n  a: { commands: [x] }\n  d: { deploy: { environment: staging } }\n',
    mistakes: ['3:8 no_release'],
    says: '`build_image` step before it',
  },
  {
    rule: 'a deployment beside the release',
    text: `steps:\n  a: { ${image} }\n  d: { needs: [], deploy: { environment: staging } }\n`,
    mistakes: ['3:19 no_release'],
    says: 'needs: [a]',
  },
  {
    rule: 'a deployment of two images without a release',
    text: `steps:\n  a: { ${image} }\n  b: { ${image} }\n  d: { deploy: { environment: staging } }\n`,
    mistakes: ['4:8 no_release'],
    says: 'there are several images',
  },
  {
    rule: 'a deployment of two releases',
    text: `steps:\n  a: { ${image} }\n  r: { release: { from: [a] } }\n  s: { release: { from: [a] } }\n  d: { deploy: { environment: staging } }\n`,
    mistakes: ['5:8 several_releases'],
    says: 'r, s',
  },
  {
    rule: 'a release without an image',
    text: 'steps:\n  a: { commands: [x], artifacts: { paths: [y] } }\n  r: { release: { from: [a] } }\n',
    mistakes: ['3:25 no_release'],
    says: 'no image',
  },
  {
    rule: 'a release of a step that leaves nothing',
    text: `steps:\n  c: { commands: [x] }\n  a: { ${image} }\n  r: { release: { from: [a, c] } }\n`,
    mistakes: ['4:29 invalid_value'],
    says: 'leaves nothing behind',
  },
  {
    rule: 'a release of what comes later',
    text: `steps:\n  r: { needs: [], release: { from: [a] } }\n  a: { ${image} }\n`,
    mistakes: ['2:37 invalid_value'],
    says: 'add "a" to its `needs`',
  },
  {
    rule: 'a release of a step that is not there',
    text: `steps:\n  a: { ${image} }\n  r: { release: { from: [b] } }\n`,
    mistakes: ['3:26 unknown_step'],
    says: 'no step "b"',
  },
  {
    rule: 'a step with the name of the implied release',
    text: `steps: { a: { ${image} }, a_release: { commands: [x] } }`,
    mistakes: ['1:99 reserved_name'],
    says: 'choose another name',
  },

  {
    rule: 'an environment that the project has not',
    text: `steps:\n  a: { ${image} }\n  d: { deploy: { environment: stagging } }\n`,
    mistakes: ['3:31 unknown_environment'],
    says: 'did you mean "staging"?',
  },
  {
    rule: 'an image of a Dockerfile that is deployed to a process',
    text: 'steps: { a: { build_image: { repository: main/a } }, d: { deploy: { environment: staging } } }',
    mistakes: ['1:82 unfit_image'],
    says: '`builder: pack`',
  },
  {
    rule: 'an image that stays on disk and is deployed to containers',
    text: `steps:\n  a: { ${image} }\n  d: { deploy: { environment: eu } }\n`,
    mistakes: ['3:31 unfit_image'],
    says: 'main/app',
  },
  {
    rule: 'a registry that the operator has not',
    text: 'steps: { a: { build_image: { repository: mian/app } } }',
    mistakes: ['1:42 unknown_registry'],
    says: 'did you mean "main"?',
  },
  {
    rule: 'a Dockerfile image without a registry',
    text: 'steps: { a: { build_image: { builder: docker, repository: app } } }',
    mistakes: ['1:59 unknown_registry'],
    says: 'main/app',
  },
  {
    rule: 'a secret of a build that the project has not',
    text: 'steps: { a: { build_image: { repository: main/app, secrets: { t: { from_secret: npm_tokn } } } } }',
    mistakes: ['1:81 unknown_secret'],
    says: 'did you mean "npm_token"?',
  },
  {
    rule: 'a secret that the project has not',
    text: 'steps: { a: { commands: [x], env: { T: { from_secret: npm_tokn } } } }',
    mistakes: ['1:55 unknown_secret'],
    says: 'did you mean "npm_token"?',
  },
  {
    rule: 'a health check that is looser than the operator’s',
    text: `steps:\n  a: { ${image} }\n  d:\n    deploy:\n      environment: production\n      health: { http: /ok, interval: 3s, healthy_after: 1, unhealthy_after: 4, timeout: 2m }\n`,
    mistakes: ['6:23 loosens_health', '6:38 loosens_health', '6:57 loosens_health', '6:77 loosens_health', '6:89 loosens_health'],
    says: 'allowed: /healthz',
  },
]

describe('a file whose parts do not fit together', () => {
  it.each(broken)('is refused with its places: $rule', ({ text, mistakes, says }) => {
    expect(mistakesIn(text)).toEqual(mistakes)
    expect(wordsAbout(text)).toContain(says)
  })

  it('has all its mistakes told at once, whatever part they are in', () => {
    const text = `nmae: x
steps:
  a:
    commands: [x]
    timeout: soon
  b:
    needs: [aa]
    commands: [x]
    env: { T: { from_secret: nothing } }
finally:
  c: { commands: [] }
`
    expect(mistakesIn(text)).toEqual([
      '1:1 unknown_key',
      '5:14 invalid_value',
      '7:13 unknown_step',
      '9:30 unknown_secret',
      '11:18 invalid_value',
    ])
  })

  it('is not blamed for what follows from a mistake', () => {
    const text = `steps:\n  a: { ${image.replace('pack', 'pakc')} }\n  d: { deploy: { environment: staging } }\n`
    expect(mistakesIn(text)).toEqual(['2:32 invalid_value'])
  })
})
