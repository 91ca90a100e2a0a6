import { describe, expect, it } from 'vitest'
import type { Broken } from './testing.ts'
import { image, mistakesIn, wordsAbout } from './testing.ts'

const broken: Broken[] = [
  {
    rule: 'an id with capitals',
    text: 'steps:\n  UnitTest: { commands: [x] }\n',
    mistakes: ['2:3 invalid_value'],
    says: 'write "unit_test"',
  },
  {
    rule: 'the id "constructor"',
    text: 'steps: { constructor: { commands: [x] } }',
    mistakes: ['1:10 reserved_name'],
    says: 'constructor',
  },
  {
    rule: 'a duration without unit',
    text: 'steps: { a: { commands: [x], timeout: 30 } }',
    mistakes: ['1:39 invalid_value'],
    says: '30s, 5m or 1h30m',
  },
  {
    rule: 'a duration of nothing',
    text: 'timeout: 0\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:10 invalid_value'],
    says: 'above 0',
  },
  {
    rule: 'a duration beyond all timers',
    text: 'timeout: 9d\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:10 invalid_value'],
    says: 'at most 7d',
  },
  {
    rule: 'needs without brackets',
    text: 'steps:\n  a: { commands: [x] }\n  b: { needs: a, commands: [x] }\n',
    mistakes: ['3:15 invalid_value'],
    says: 'needs: [a]',
  },
  {
    rule: 'a command with a colon',
    text: 'steps:\n  a:\n    commands:\n      - echo "a": b\n',
    mistakes: ['4:9 invalid_value'],
    says: 'must be quoted',
  },
  {
    rule: 'an empty command',
    text: 'steps:\n  a:\n    commands:\n      - x\n      -\n',
    mistakes: ['5:8 invalid_value'],
    says: 'the line is empty',
  },
  { rule: 'no commands', text: 'steps:\n  a: { commands: [] }\n', mistakes: ['2:18 invalid_value'], says: 'not empty' },
  {
    rule: 'too many retries',
    text: 'steps: { a: { commands: [x], retry: { max: 11 } } }',
    mistakes: ['1:44 invalid_value'],
    says: 'from 0 to 10',
  },
  {
    rule: 'a path out of the workspace',
    text: 'steps: { a: { commands: [x], artifacts: { paths: [ok, ../x] } } }',
    mistakes: ['1:55 invalid_value'],
    says: 'inside the workspace',
  },
  {
    rule: 'a variable of Belay’s',
    text: 'steps: { a: { commands: [x], env: { BELAY_SHA: x } } }',
    mistakes: ['1:37 reserved_name'],
    says: 'set by Belay',
  },
  {
    rule: 'a variable with a dash',
    text: 'env: { a-b: x }\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:8 invalid_value'],
    says: 'a variable name',
  },
  {
    rule: 'a variable without value',
    text: 'steps:\n  a:\n    commands: [x]\n    env:\n      A:\n',
    mistakes: ['5:7 invalid_value'],
    says: '"A" must be text',
  },
  {
    rule: 'a secret for all steps',
    text: 'env: { T: { from_secret: npm_token } }\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:11 misplaced_key'],
    says: 'each step that needs it',
  },
  {
    rule: 'a glob that is none',
    text: 'when: { branch: "rel[" }\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:17 invalid_value'],
    says: '*, **, ? and {a,b}',
  },
  {
    rule: 'a ref for a branch',
    text: 'when: { branch: refs/heads/main }\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:17 invalid_value'],
    says: 'without refs/heads/: main',
  },
  {
    rule: 'an image without its keys',
    text: 'steps:\n  a:\n    build_image: { builder: pack }\n',
    mistakes: ['3:5 missing_key', '3:5 missing_key', '3:5 missing_key'],
    says: '"entrypoint"',
  },
  {
    rule: 'an image of `pack` in a directory of another one',
    text: `steps: { a: { ${image.replace('repository: a', 'repository: shop/blobs/app')} } }`,
    mistakes: ['1:57 invalid_value'],
    says: '"shop/blobs/app" is not a name for images | no part after the first may be "blobs"',
  },
  {
    rule: 'a timeout that ends with the bake',
    text: `steps:\n  i: { ${image} }\n  d: { timeout: 2h, deploy: { environment: staging, bake: { for: 120m } } }\n`,
    mistakes: ['3:17 invalid_value'],
    says: '"d" covers its bake, and is not longer | give it more than `bake.for`',
  },
  {
    rule: 'a bake as long as the run',
    text: `steps:\n  i: { ${image} }\n  d: { deploy: { environment: staging, bake: { for: 6h } } }\n`,
    mistakes: ['3:53 invalid_value'],
    says: 'raise `timeout` of the pipeline',
  },
  {
    rule: 'a status that no run has at its end',
    text: 'steps: { a: { commands: [x] } }\nfinally: { b: { commands: [y], when: { status: fialed } } }',
    mistakes: ['2:48 invalid_value'],
    says: '"failed"',
  },
  {
    rule: 'a step of finally with the name of a step',
    text: 'steps: { a: { commands: [x] } }\nfinally: { a: { commands: [y] } }',
    mistakes: ['2:12 duplicate_key'],
    says: 'already',
  },
  {
    rule: 'a deployment in finally',
    text: 'steps: { a: { commands: [x] } }\nfinally: { b: { deploy: { environment: staging } } }',
    mistakes: ['2:17 unknown_key'],
    says: 'commands only',
  },

  {
    rule: 'an expression in commands',
    text: 'steps:\n  a:\n    commands:\n      - echo "${{ branch }}"\n',
    mistakes: ['4:9 expression'],
    says: '$BELAY_BRANCH',
  },
  {
    rule: 'an expression in env',
    text: 'steps: { a: { commands: [x], env: { B: "${{ branch }}" } } }',
    mistakes: ['1:40 not_yet'],
    says: 'not carried out here yet',
  },
  {
    rule: 'an unknown variable, and one that is not there yet',
    text: `steps: { a: { ${image.replace('files', 'tags: ["${{ shaa }}", "${{ pr.number }}"], files')} } }`,
    mistakes: ['1:67 expression', '1:82 not_yet'],
    says: 'did you mean "sha"?',
  },
]

describe('a file with wrong values', () => {
  it.each(broken)('is refused with its places: $rule', ({ text, mistakes, says }) => {
    expect(mistakesIn(text)).toEqual(mistakes)
    expect(wordsAbout(text)).toContain(says)
  })
})
