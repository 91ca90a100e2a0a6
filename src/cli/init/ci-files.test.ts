import { describe, expect, test } from 'vitest'
import { tryInit } from './testing.ts'

const github = (text: string, more: Record<string, string> = {}) => tryInit({ '.github/workflows/ci.yml': text, ...more })
const gitlab = (text: string) => tryInit({ '.gitlab-ci.yml': text })
const woodpecker = (text: string) => tryInit({ '.woodpecker.yml': text })

describe('GitHub workflows', () => {
  test('run lines of jobs are taken over in the order of their needs, and the rest is told', () => {
    const { read, text, steps } = github(`
on: { push: { branches: [main, 'release/**'] } }
env: { LEVEL: 1.10, TOKEN: "\${{ secrets.X }}" }
jobs:
  Unit-Tests:
    needs: compile
    runs-on: ubuntu-latest
    strategy: { matrix: { node: [18, 20] } }
    defaults: { run: { working-directory: web } }
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
      - run: npm ci
      - run: |
          if true; then
            npm test
          fi
      - run: echo "\${{ matrix.node }}"
      - run: sudo apt-get install -y jq
      - { run: npm publish, if: github.ref == 'x' }
  compile:
    runs-on: ubuntu-latest
    steps: [{ run: make -j2 }]
  db:
    services: { pg: { image: postgres } }
    steps: [{ run: make db }]
  win:
    runs-on: windows-latest
    steps: [{ run: dir }]
`)
    expect(read).toEqual({ compile: ['make -j2'], unit_tests: ['npm ci', 'if true; then\n  npm test\nfi'] })
    expect(steps[1]).toMatchObject({ directory: 'web', env: { LEVEL: '1.10' } })
    for (const note of [
      'uses actions/setup-node@v4',
      'strategy',
      'holds an expression',
      'needs root',
      'if of the step',
      'services',
      'windows',
      'variable TOKEN',
    ])
      expect(text).toMatch(new RegExp(`^# - .*${note}`, 'm'))
    expect(text).not.toContain('actions/checkout')
  })

  test('a workflow that a push to the branch does not start is left out, and said to be', () => {
    for (const on of [
      '[pull_request]',
      '{ push: { branches: [dev] } }',
      '{ push: { tags: [v*] } }',
      '{ push: { branches-ignore: [main] } }',
      '{ schedule: [] }',
    ]) {
      const { steps, findings } = github(`on: ${on}\njobs: { a: { steps: [{ run: x }] } }`)
      expect(steps).toEqual([])
      expect(findings[0]?.notes).toEqual([expect.stringMatching(/^\.github\/workflows\/ci\.yml: (starts on|does not start)/)])
    }
    for (const on of ['push', '[push, pull_request]', '{ push: , pull_request: }', '{ push: { branches: ["m*"] } }'])
      expect(github(`on: ${on}\njobs: { a: { steps: [{ run: x }] } }`).read).toEqual({ a: ['x'] })
  })

  test('what one shell would leave to the next ends its step', () => {
    const { read } = github(`
on: push
jobs:
  a:
    steps:
      - run: cd web && npm ci
      - run: npm test
      - { run: 'x | y', shell: bash }
`)
    expect(read).toEqual({ a: ['cd web && npm ci'], a_2: ['npm test'], a_3: ['x | y'] })
  })

  test('variables that have an equal are set, a line with another one is left out', () => {
    const { read } = github(
      'on: push\njobs: { a: { steps: [{ run: "echo $GITHUB_SHA" }, { run: "echo x >> $GITHUB_OUTPUT" }] } }',
    )
    expect(read).toEqual({ a: ['export GITHUB_SHA="$BELAY_SHA"', 'echo $GITHUB_SHA'] })
  })

  test('bash is asked for only where sh would not do', () => {
    expect(github('on: push\njobs: { a: { steps: [{ run: "[[ a == b ]]" }] } }').text).toContain('shell: bash')
    expect(github('on: push\njobs: { a: { steps: [{ run: "[ a = b ]" }] } }').text).not.toContain('shell:')
  })

  test('with steps of its own it comes before the language, which is then told in a comment', () => {
    const files = { 'go.mod': 'module a\n' }
    const { read, text } = github('on: push\njobs: { a: { steps: [{ run: make }] } }', files)
    expect(read).toEqual({ a: ['make'] })
    expect(text).toContain('# - go test ./... (GitHub workflows')
    expect(Object.keys(github('on: pull_request\njobs: {}', files).read)).toEqual(['build', 'vet', 'test'])
    const without = tryInit(
      { ...files, '.github/workflows/ci.yml': 'on: push\njobs: { a: { steps: [{ run: make }] } }' },
      { ci: false },
    )
    expect(Object.keys(without.read)).toEqual(['build', 'vet', 'test'])
  })
})

describe('.gitlab-ci.yml', () => {
  test('scripts are taken over stage by stage, with before_script, extends and variables', () => {
    const { read, steps, text } = gitlab(`
stages: [compile, check]
variables: { A: '1', B: { value: two }, C: $A }
default: { before_script: [echo before] }
.base: { script: [echo base], variables: { D: x } }
lint: { stage: check, script: npm run lint, needs: [], image: "node:20" }
build: { stage: compile, extends: .base }
own: { stage: compile, before_script: [], script: [[echo one], echo $CI_COMMIT_SHA] }
job: { stage: check, needs: [{ job: later }], script: [echo job] }
later: { stage: check, script: [echo later] }
`)
    expect(read).toEqual({
      build: ['echo before', 'echo base'],
      own: ['export CI_COMMIT_SHA="$BELAY_SHA"', 'echo one', 'echo $CI_COMMIT_SHA'],
      lint: ['echo before', 'npm run lint'],
      later: ['echo before', 'echo later'],
      job: ['echo before', 'echo job'],
    })
    expect(steps[0]?.env).toEqual({ A: '1', B: 'two', D: 'x' })
    expect(text).toMatch(/^# - job lint: image$/m)
    expect(text).toMatch(/^# - job build: variable C$/m)
  })

  test.each<[string, boolean]>([
    ['only: [main]', true],
    ['only: { refs: [branches] }', true],
    ['only: [tags]', false],
    ['only: { changes: [x] }', false],
    ['except: [main]', false],
    ['except: [tags]', true],
    ['when: manual', false],
    ['when: always', true],
    ['rules: [{ if: \'$CI_COMMIT_BRANCH == "main"\' }]', true],
    ['rules: [{ if: \'$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $CI_PIPELINE_SOURCE == "push"\' }]', true],
    ['rules: [{ if: \'$CI_PIPELINE_SOURCE == "merge_request_event"\' }]', false],
    ['rules: [{ if: \'$CI_PIPELINE_SOURCE == "merge_request_event"\', when: never }, { when: on_success }]', true],
    ["rules: [{ if: '$CI_COMMIT_TAG' }]", false],
    ["rules: [{ if: '$CI_COMMIT_BRANCH', when: manual }]", false],
    ["rules: [{ if: '$OTHER' }]", false],
    ['rules: [{ changes: [x] }]', false],
    ['services: [postgres]', false],
    ['environment: production', false],
    ['allow_failure: true', false],
    ['allow_failure: false', true],
    ['extends: .nowhere', false],
    ['extends: job', false],
  ])('a job with %s: %s', (key, isTaken) => {
    const { steps, findings } = gitlab(`job: { script: [x], ${key} }`)
    expect(steps.length === 1).toBe(isTaken)
    expect(findings[0]?.notes.some((note) => note.startsWith('job job: '))).toBe(!isTaken)
  })

  test('a value under a tag is no command', () => {
    const { read, findings } = gitlab('a: { script: [!reference [.x, script], echo good] }')
    expect(read).toEqual({ a: ['echo good'] })
    expect(findings[0]?.notes).toEqual([expect.stringContaining('means something only there')])
  })
})

describe('Woodpecker pipelines', () => {
  test('commands of steps are taken over, plugins and secrets are told', () => {
    const { read, steps, text } = woodpecker(`
when: { event: push, branch: main }
steps:
  test: { image: golang, commands: [go test ./...], environment: { A: b, T: { from_secret: t } }, depends_on: [build] }
  build: { image: golang, commands: go build }
  publish: { image: plugins/docker, settings: { repo: x } }
  tagged: { image: a, commands: [x], when: { event: tag } }
  list: { image: a, commands: ['echo $$HOME'], when: [{ event: tag }, { event: [push] }] }
`)
    expect(read).toEqual({ build: ['go build'], test: ['go test ./...'] })
    expect(steps[1]?.env).toEqual({ A: 'b' })
    for (const note of ['plugin plugins/docker', 'when: event tag', 'variable T', 'means something only there'])
      expect(text).toContain(note)
  })

  test('several files follow one another as they depend on each other, also with steps in a list', () => {
    const { read } = tryInit({
      '.woodpecker/a.yml': 'depends_on: [b]\nsteps: [{ name: last, image: x, commands: [two] }]',
      '.woodpecker/b.yaml': 'steps: [{ name: first, image: x, commands: [one] }]',
    })
    expect(read).toEqual({ first: ['one'], last: ['two'] })
  })

  test('a pipeline for something else than a push to the branch is left out', () => {
    for (const when of ['{ event: tag }', '{ branch: dev }', '{ branch: { exclude: main } }', '{ path: x }'])
      expect(woodpecker(`when: ${when}\nsteps: { a: { image: x, commands: [x] } }`).steps).toEqual([])
  })
})

describe('hostile files', () => {
  const bomb = `a: &a [x,x]\n${'bcdefghij'
    .split('')
    .map((name, at) => `${name}: &${name} [${`*${'abcdefghij'[at] ?? ''},`.repeat(9)}]`)
    .join('\n')}`
  test.each<[string, string]>([
    ['brackets', '['.repeat(250_000)],
    ['aliases of aliases', `${bomb}\njobs: *j\non: *j\n`],
    ['an alias of itself', 'on: &x [*x]\njobs: *x'],
    ['no YAML', '\tx: {'],
    ['a list', '- a'],
    ['nothing', ''],
    ['a number', '1'],
    [
      'keys that every object has',
      'on: push\njobs: { __proto__: { steps: [{ run: x }] }, constructor: { steps: [{ run: y }] }, toString: 1 }',
    ],
    [
      'jobs that need each other',
      'on: push\njobs: { a: { needs: b, steps: [{ run: x }] }, b: { needs: a, steps: [{ run: y }] } }',
    ],
    [
      'a great many jobs',
      `on: push\njobs:\n${Array.from({ length: 3000 }, (_, n) => `  j${String(n)}: { steps: [{ run: x }] }\n`).join('')}`,
    ],
    [
      'very long lines',
      `on: push\njobs: { a: { steps: [{ run: "${'apt '.repeat(40_000)}" }, { run: "${'x'.repeat(19_000)}" }] } }`,
    ],
  ])('%s are read to an end, and what is written is valid', (_, text) => {
    for (const file of ['.github/workflows/a.yml', '.gitlab-ci.yml', '.woodpecker.yml'])
      expect(() => tryInit({ [file]: text })).not.toThrow()
  })

  test('names and texts end in no line but a comment of one, and in no command', () => {
    const evil = '"x\\n    evil:\\n      commands: [evil]"'
    const { read } = github(`
on: push
jobs:
  ${evil}: { steps: [{ run: good }, { uses: ${evil} }, { run: x, if: ${evil}, name: ${evil} }] }
  other: { if: ${evil} }
`)
    expect(Object.values(read)).toEqual([['good']])
    expect(Object.values(gitlab(`${evil}: { script: [good], image: x }\nb: { script: [x], when: ${evil} }`).read)).toEqual([
      ['good'],
    ])
  })

  test('a branch of odd name is not written', () => {
    const branch = 'a\nsteps: {}'
    const { text } = tryInit({ 'go.mod': 'module a\n' }, { branch })
    expect(text).toContain('branch: [main]')
  })

  test('more jobs than are looked at are told', () => {
    const { steps, findings } = github(
      `on: push\njobs:\n${Array.from({ length: 61 }, (_, n) => `  j${String(n)}: { steps: [{ run: x }] }\n`).join('')}`,
    )
    expect(steps).toHaveLength(60)
    expect(findings[0]?.notes).toEqual(['.github/workflows/ci.yml: jobs after the first 60'])
  })

  test('more than one pipeline can hold is left out, and said to be', () => {
    const lines = Array.from({ length: 12 }, (_, n) => `  j${String(n)}: { steps: [{ run: "${'x'.repeat(15_000)}" }] }\n`).join(
      '',
    )
    const { steps, text } = github(`on: push\njobs:\n${lines}`)
    expect(steps.length).toBeGreaterThan(3)
    expect(steps.length).toBeLessThan(12)
    expect(text).toContain(': too long')
  })
})
