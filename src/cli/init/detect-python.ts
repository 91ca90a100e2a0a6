import type { Finding, FoundStep } from './finding.ts'
import { findPythonTests } from './python-tests.ts'
import { shellWord } from './shell-word.ts'
import type { Tree } from './tree.ts'

/** A Python project: installed into a virtual environment of its own, since the machine's is not a step's to change. */
export function detectPython(tree: Tree): Finding | undefined {
  const project = tree.read('pyproject.toml')
  const requirements = listRequirements(tree)
  const isPackage = tree.has('setup.py') || (project !== undefined && /^\[(?:build-system|project)\]/m.test(project))
  if (!isPackage && requirements.length === 0) return undefined

  const tests = findPythonTests(tree)
  const extra = isPackage ? testExtra(project ?? '') : undefined
  const packages = [
    ...(isPackage ? [extra === undefined ? '.' : `'.[${extra}]'`] : []),
    ...requirements.flatMap((file) => ['-r', shellWord(file)]),
    ...(tests?.tool === 'pytest' ? ['pytest'] : []),
  ]
  const install: FoundStep = {
    id: 'install',
    why: 'into a virtual environment of this checkout',
    commands: ['python3 -m venv .venv', `.venv/bin/python -m pip install ${packages.join(' ')}`],
  }
  const seen = [...(isPackage ? [tree.has('setup.py') ? 'setup.py' : 'pyproject.toml'] : []), ...requirements]
  const why = `${seen.join(', ')}, ${tests === undefined ? 'no tests found' : `tests for ${tests.tool}`}`
  if (tests === undefined) return { kind: 'python', why, steps: [install], notes: ['tests: none were found'] }
  return { kind: 'python', why, steps: [install, { id: 'test', why: tests.why, commands: tests.commands }], notes: [] }
}

const forTests =
  /^(?:(?:dev|test|tests|testing)[-_]requirements|requirements[-_](?:dev|test|tests|testing)|requirements\/(?:dev|test|tests|testing))\.txt$/

/** What the project needs, then what its tests need. */
function listRequirements(tree: Tree): string[] {
  const files = tree.list('{*,requirements/*}.txt')
  return [...files.filter((file) => file === 'requirements.txt'), ...files.filter((file) => forTests.test(file))]
}

/** The extra of `pyproject.toml` that is there for tests. */
function testExtra(project: string): string | undefined {
  const table = /^\[project\.optional-dependencies\][^\n]*\n((?:(?!\[)[^\n]*\n?)*)/m.exec(project)?.[1] ?? ''
  return ['test', 'tests', 'testing'].find((name) => new RegExp(`^"?${name}"?[ \\t]*=`, 'm').test(table))
}
