import { shellWord } from './shell-word.ts'
import type { Tree } from './tree.ts'

export interface PythonTests {
  tool: 'pytest' | 'unittest'
  why: string
  commands: string[]
}

const mostRead = 50

/** Where the tests lie and what runs them: pytest if a test or a setting names it, else what Python brings along. */
export function findPythonTests(tree: Tree): PythonTests | undefined {
  const files = tree
    .list('**/{test*,*_test,tests}.py')
    .filter((file) => !/(?:^|\/)(?:\.venv|venv|node_modules|site-packages)\//.test(file))
  if (files.length === 0) return undefined
  const reason = whyPytest(tree, files)
  if (reason !== undefined) return { tool: 'pytest', why: `pytest, as ${reason} says`, commands: ['.venv/bin/python -m pytest'] }
  const why = 'nothing names another tool than the one that comes with Python'
  const running = files.slice(0, mostRead).filter((file) => runsItself(tree.read(file) ?? ''))
  if (running.length > 0)
    return { tool: 'unittest', why: `${why}; these files run their tests themselves`, commands: runEach(running) }
  const words = ['.venv/bin/python -m unittest discover', ...discovery(tree, files)]
  return { tool: 'unittest', why, commands: [words.join(' ')] }
}

/** `unittest.main()` without a guard: such a file cannot be imported, so nothing can discover it. */
function runsItself(text: string): boolean {
  return /^unittest\.main\(/m.test(text)
}

function runEach(files: readonly string[]): string[] {
  return files.map((file) => `.venv/bin/python ${shellWord(file)}`)
}

function whyPytest(tree: Tree, files: readonly string[]): string | undefined {
  const settings: [string, RegExp][] = [
    ['pytest.ini', /^/],
    ['conftest.py', /^/],
    ['pyproject.toml', /^\[tool\.pytest|["']pytest\b/m],
    ['setup.cfg', /^\[tool:pytest\]|^[ \t]*pytest\b/m],
    ['tox.ini', /^\[pytest\]|\bpytest\b/m],
    ['setup.py', /["']pytest\b/],
  ]
  const requirements = tree.list('{*,requirements/*}.txt').map((file): [string, RegExp] => [file, /^[ \t]*pytest\b/m])
  const setting = [...settings, ...requirements].find(
    ([file, pattern]) => pattern.test(tree.read(file) ?? '\0') && tree.has(file),
  )
  if (setting !== undefined) return setting[0]
  const tests = [...tree.list('**/conftest.py'), ...files].slice(0, mostRead)
  return tests.find((file) => file.endsWith('conftest.py') || /^[ \t]*(?:import|from)[ \t]+pytest\b/m.test(tree.read(file) ?? ''))
}

/** What `discover` must be told: the directory of the tests, the top of their package, and a pattern that is not its own. */
function discovery(tree: Tree, files: readonly string[]): string[] {
  const usual = files.filter((file) => /(?:^|\/)test[^/]*\.py$/.test(file))
  const chosen = usual.length > 0 ? usual : files
  const directory = directoryOf(chosen.toSorted((a, b) => depthOf(a) - depthOf(b))[0] ?? '')
  const pattern = usual.length > 0 ? [] : ['-p', "'*_test.py'"]
  if (directory === '') return pattern
  const isPackage = tree.has(`${directory}/__init__.py`)
  return ['-s', shellWord(directory), ...(isPackage ? ['-t', '.'] : []), ...pattern]
}

function directoryOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.lastIndexOf('/')) : ''
}

function depthOf(file: string): number {
  return file.split('/').length
}
