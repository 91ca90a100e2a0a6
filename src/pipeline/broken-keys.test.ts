import { describe, expect, it } from 'vitest'
import type { Broken } from './testing.ts'
import { image, mistakesIn, wordsAbout } from './testing.ts'

const broken: Broken[] = [
  { rule: 'no steps', text: 'name: x\n', mistakes: ['1:1 missing_key'], says: '"steps"' },
  { rule: 'steps that are empty', text: 'steps:\n', mistakes: ['1:1 invalid_value'], says: 'not empty' },
  {
    rule: 'steps as a list',
    text: 'steps:\n  - name: a\n    run: x\n',
    mistakes: ['2:3 invalid_value'],
    says: 'without the dash',
  },
  {
    rule: 'a misspelt key',
    text: 'steps:\n  a:\n    comands: [x]\n',
    mistakes: ['3:5 unknown_key'],
    says: 'did you mean "commands"?',
  },
  {
    rule: 'a key in another spelling',
    text: 'steps: { a: { commands: [x], workingDirectory: y } }',
    mistakes: ['1:30 unknown_key'],
    says: '"working_directory"',
  },
  {
    rule: '`jobs` and `on`',
    text: 'on: push\njobs: {}\n',
    mistakes: ['1:1 missing_key', '1:1 unknown_key', '2:1 unknown_key'],
    says: 'steps lie under `steps`',
  },
  {
    rule: '`environment` for variables',
    text: 'steps:\n  a:\n    commands: [x]\n    environment: { NODE_ENV: test }\n',
    mistakes: ['4:5 unknown_key'],
    says: 'variables go under `env`',
  },
  {
    rule: 'stages as a map',
    text: 'stages: { a: {} }\nsteps: { a: { commands: [x] } }\n',
    mistakes: ['1:9 invalid_value'],
    says: 'stages: [build, test, ship]',
  },
  {
    rule: 'keys of the language that are not carried out yet, each',
    text: 'concurrency: { group: x }\nsteps:\n  a:\n    image: node:20\n    commands: [x]\n    matrix: { n: [1] }\n  b:\n    approval: {}\n',
    mistakes: ['1:1 not_yet', '4:5 not_yet', '6:5 not_yet', '8:5 not_yet'],
    says: '"approval" is not carried out yet',
  },
  {
    rule: 'keys of one builder with another',
    text: `steps: { a: { ${image.replace('pack', 'docker').replace('repository: a', 'repository: main/a')} } }`,
    mistakes: ['1:74 misplaced_key', '1:97 misplaced_key'],
    says: 'builder `pack`',
  },
  {
    rule: 'a secret among the arguments of a build',
    text: 'steps: { a: { build_image: { repository: main/a, build_args: { TOKEN: { from_secret: npm_token } } } } }',
    mistakes: ['1:71 invalid_value'],
    says: 'text',
  },
  {
    rule: 'an event that is not there yet',
    text: 'when: { event: pull_request }\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:16 not_yet'],
    says: 'push, manual',
  },
  {
    rule: 'a misspelt event',
    text: 'when: { event: [psuh] }\nsteps: { a: { commands: [x] } }',
    mistakes: ['1:17 invalid_value'],
    says: 'did you mean "push"?',
  },

  {
    rule: 'a step that does nothing',
    text: 'steps:\n  a: { timeout: 5m }\n',
    mistakes: ['2:3 no_kind'],
    says: 'commands, build_image, release, deploy',
  },
  {
    rule: 'a step with two kinds',
    text: `steps:\n  a:\n    commands: [x]\n    ${image}\n`,
    mistakes: ['4:5 several_kinds'],
    says: 'make two steps of it',
  },
  {
    rule: '`script` beside `commands`',
    text: 'steps: { a: { commands: [x], script: [y] } }',
    mistakes: ['1:30 several_kinds'],
    says: 'under `commands`',
  },
  {
    rule: 'variables of an image',
    text: `steps: { a: { ${image}, env: { A: b } } }`,
    mistakes: ['1:97 misplaced_key'],
    says: 'variables belong to `commands`',
  },
  {
    rule: 'a checkpoint of an image',
    text: `steps: { a: { ${image}, checkpoint: true } }`,
    mistakes: ['1:97 misplaced_key'],
    says: 'only `commands` change the workspace',
  },
  {
    rule: 'an undo of an image',
    text: `steps: { a: { ${image}, undo: { commands: [x] } } }`,
    mistakes: ['1:97 misplaced_key'],
    says: 'its own way back',
  },
  {
    rule: 'exit codes of an image',
    text: `steps: { a: { ${image}, retry: { max: 1, exit_codes: [1] } } }`,
    mistakes: ['1:114 misplaced_key'],
    says: 'only commands have exit codes',
  },
]

describe('a file with wrong keys', () => {
  it.each(broken)('is refused with its places: $rule', ({ text, mistakes, says }) => {
    expect(mistakesIn(text)).toEqual(mistakes)
    expect(wordsAbout(text)).toContain(says)
  })
})
