import { describe, expect, test } from 'vitest'
import { readSteps, treeWith, tryInit } from './testing.ts'
import { examine } from './examine.ts'

const json = (value: unknown) => JSON.stringify(value)
const install = (...words: string[]) => ['python3 -m venv .venv', `.venv/bin/python -m pip install ${words.join(' ')}`]

describe('the steps of each language', () => {
  const cases: [string, Record<string, string>, Record<string, readonly string[]>][] = [
    [
      'Node, with a lock file',
      { 'package.json': json({ scripts: { test: 'x', build: 'y', lint: 'z', evil: 'w' } }), 'package-lock.json': '{}' },
      { install: ['npm ci --no-audit --no-fund'], lint: ['npm run lint'], build: ['npm run build'], test: ['npm test'] },
    ],
    [
      'Node, without one',
      { 'package.json': json({ scripts: { test: 'node --test' } }) },
      { install: ['npm install --no-audit --no-fund'], test: ['npm test'] },
    ],
    [
      'Node, with the test script that npm writes, but tests',
      { 'package.json': json({ scripts: { test: 'echo "Error: no test specified" && exit 1' } }), 'test/a.js': '' },
      { install: ['npm install --no-audit --no-fund'], test: ['node --test'] },
    ],
    [
      'pnpm',
      { 'package.json': json({ scripts: { test: 'x' } }), 'pnpm-lock.yaml': '' },
      { install: ['pnpm install --frozen-lockfile'], test: ['pnpm run test'] },
    ],
    [
      'yarn of the first kind',
      { 'package.json': json({ scripts: { test: 'x' } }), 'yarn.lock': '' },
      { install: ['yarn install --frozen-lockfile'], test: ['yarn run test'] },
    ],
    [
      'yarn of the later kind',
      { 'package.json': json({ scripts: { test: 'x' }, packageManager: 'yarn@4.1.0' }), 'yarn.lock': '' },
      { install: ['yarn install --immutable'], test: ['yarn run test'] },
    ],
    [
      'Go',
      { 'go.mod': 'module example.org/a\n\ngo 1.21\n', 'a.go': 'package a\n' },
      { build: ['go build ./...'], vet: ['go vet ./...'], test: ['go test ./...'] },
    ],
    [
      'Python with setup.py and unittest',
      { 'setup.py': 'setup()', 'pkg/__init__.py': '', 'tests/__init__.py': '', 'tests/test_a.py': 'import unittest' },
      { install: install('.'), test: ['.venv/bin/python -m unittest discover -s tests -t .'] },
    ],
    [
      'Python with a src layout, where a test imports pytest',
      { 'pyproject.toml': '[build-system]\n', 'src/a/__init__.py': '', 'tests/test_a.py': 'import os\nimport pytest\n' },
      { install: install('.', 'pytest'), test: ['.venv/bin/python -m pytest'] },
    ],
    [
      'Python with an extra for tests and a setting of pytest',
      {
        'pyproject.toml':
          '[project]\nname = "a"\n[project.optional-dependencies]\ndocs = []\ntest = ["x"]\n[tool.pytest.ini_options]\n',
        'a_test.py': '',
      },
      { install: install("'.[test]'", 'pytest'), test: ['.venv/bin/python -m pytest'] },
    ],
    [
      'Python with requirements alone',
      { 'requirements.txt': 'x', 'requirements-dev.txt': 'y', 'requirements-prod.txt': 'z', 'test_a.py': '' },
      {
        install: install('-r', 'requirements.txt', '-r', 'requirements-dev.txt'),
        test: ['.venv/bin/python -m unittest discover'],
      },
    ],
    [
      'Python whose tests run themselves',
      { 'setup.py': '', 'test/test_a.py': 'import unittest\nunittest.main()\n', 'test/test b.py': 'unittest.main()' },
      { install: install('.'), test: [".venv/bin/python 'test/test b.py'", '.venv/bin/python test/test_a.py'] },
    ],
    [
      'Python whose tests run themselves only if asked to',
      { 'setup.py': '', 'test_a.py': 'if __name__ == "__main__":\n    unittest.main()\n' },
      { install: install('.'), test: ['.venv/bin/python -m unittest discover'] },
    ],
    ['Python without tests', { 'setup.py': '' }, { install: install('.') }],
    [
      'Rust with a lock file',
      { 'Cargo.toml': '[package]', 'Cargo.lock': '' },
      { build: ['cargo build --locked'], test: ['cargo test --locked'] },
    ],
    ['Rust without one', { 'Cargo.toml': '[package]' }, { build: ['cargo build'], test: ['cargo test'] }],
    ['Maven', { 'pom.xml': '<project/>' }, { verify: ['mvn -B -ntp -Dmaven.repo.local="$HOME/.m2/repository" verify'] }],
    [
      'Maven with its wrapper',
      { 'pom.xml': '<project/>', mvnw: '' },
      { verify: ['./mvnw -B -ntp -Dmaven.repo.local="$HOME/.m2/repository" verify'] },
    ],
    [
      'Gradle with its wrapper',
      { 'build.gradle.kts': '', gradlew: '' },
      { build: ['./gradlew --no-daemon -g "$HOME/.gradle" build'] },
    ],
    [
      'two languages at once',
      { 'go.mod': 'module a\n', 'package.json': json({ scripts: { build: 'x' } }) },
      {
        node_install: ['npm install --no-audit --no-fund'],
        node_build: ['npm run build'],
        go_build: ['go build ./...'],
        go_vet: ['go vet ./...'],
        go_test: ['go test ./...'],
      },
    ],
    [
      'directories, where the root has nothing',
      { 'api/go.mod': 'module a\n', 'web/package.json': json({ scripts: { test: 'x' } }), 'README.md': '' },
      {
        api_build: ['go build ./...'],
        api_vet: ['go vet ./...'],
        api_test: ['go test ./...'],
        web_install: ['npm install --no-audit --no-fund'],
        web_test: ['npm test'],
      },
    ],
  ]
  test.each(cases)('%s', (_, files, expected) => {
    expect(tryInit(files).read).toEqual(expected)
  })
})

describe('what there is not', () => {
  test.each<[string, Record<string, string>]>([
    ['an empty repository', {}],
    ['a README alone', { 'README.md': 'x' }],
    ['a package.json that is none', { 'package.json': '{' }],
    ['a Dockerfile alone', { Dockerfile: 'FROM scratch' }],
    ['a go.mod without module', { 'go.mod': '' }],
  ])('%s gives no steps', (_, files) => {
    expect(tryInit(files).steps).toEqual([])
  })

  test('that there are no tests stands in the comments', () => {
    expect(tryInit({ 'package.json': '{}' }).text).toContain(
      '# package.json, npm, no scripts. Not taken over:\n# - tests: none were found\n',
    )
  })
})

describe('examples', () => {
  /** The commented-out steps at the end, taken in. */
  function taken(text: string): Record<string, readonly string[]> {
    const lines = text.split('\n')
    const from = lines.findIndex((line) => line.startsWith('# To '))
    const inside = lines.slice(from + 1).map((line) => line.replace(/^# /, ''))
    const end = lines.findIndex((line, index) => index > 3 && line === '')
    return readSteps([...lines.slice(0, end), ...inside].join('\n'))
  }

  test.each<[string, Record<string, string>, string[]]>([
    [
      'a Node service',
      { 'package.json': json({ scripts: { start: 'node src/server.js', test: 'x' } }), 'src/server.js': '' },
      ['(build_image)', '(deploy)'],
    ],
    [
      'a Go program',
      { 'go.mod': 'module a\n', 'cmd/it is/main.go': 'package main\n' },
      [`CGO_ENABLED=0 go build -o out/app './cmd/it is'`, '(build_image)', '(deploy)'],
    ],
    ['a Dockerfile', { 'Cargo.toml': '', Dockerfile: 'FROM scratch' }, ['(build_image)']],
  ])('of %s are comments, and valid once they are none', (_, files, expected) => {
    const { text, read } = tryInit(files)
    expect(Object.values(read).flat().join()).not.toMatch(/image|deploy/)
    expect(Object.values(taken(text)).flat().slice(-expected.length)).toEqual(expected)
  })

  test('a start script that is more than `node FILE` is not guessed at', () => {
    for (const start of ['node a.js && rm -rf /', 'node $(x)', 'next start', 'node ../x.js', 'node /etc/x', 'node -e 1'])
      expect(tryInit({ 'package.json': json({ scripts: { start } }) }).text).not.toContain('deploy')
  })
})

describe('hostile names and contents', () => {
  test('names of files are single words of the shell, or say nothing at all', () => {
    const evil = `$(touch x); 'y"\n--z`
    const { read } = tryInit({
      'setup.py': '',
      [`${evil}/requirements-dev.txt`]: '',
      [`${evil}/test_a.py`]: '',
      [`${evil}/__init__.py`]: '',
    })
    expect(read['test']).toEqual([`.venv/bin/python -m unittest discover -s '$(touch x); '\\''y"\n--z' -t .`])
  })

  test('a directory keeps its name, whatever it is, and the id is made of it', () => {
    const { read, text } = tryInit({ '-x: {y}\n#/go.mod': 'module a\n', "a 'b/go.mod": 'module b\n' })
    expect(Object.keys(read)).toEqual(['a_b_build', 'a_b_vet', 'a_b_test'])
    expect(text).toContain(`    working_directory: a 'b\n`)
  })

  test('what a manifest says ends in no line but a comment of one', () => {
    const files = {
      'package.json': json({ scripts: { test: 'x' }, engines: { node: '20\nsteps: { evil: { commands: [x] } }' } }),
      '__proto__/a.js': '',
    }
    expect(Object.keys(tryInit(files).read)).toEqual(['install', 'test'])
    expect(Object.keys(tryInit({ 'go.mod': 'module a\r$(evil)' }).read)).toEqual(['build', 'vet', 'test'])
  })

  test.each([
    ['{'.repeat(200_000)],
    ['[1,'.repeat(50_000)],
    ['null'],
    ['[]'],
    ['"x"'],
    ['{"scripts":[1]}'],
    ['{"scripts":{"__proto__":{"test":"x"}}}'],
  ])('a package.json of odd shape is no fault: %.20s', (text) => {
    expect(() => examine(treeWith({ 'package.json': text }), { branch: 'main', ci: true })).not.toThrow()
  })
})
