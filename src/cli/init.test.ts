import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execaSync } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'belay-init-'))
  execaSync('git', ['init', '--quiet', '--initial-branch=trunk'], { cwd: root })
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

async function belay(args: string[], cwd = root) {
  const io = testIo({ cwd, env: { PATH: process.env['PATH'], HOME: root } })
  await runProgram(args, io)
  return io.result
}

function lay(files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
}

const written = () => readFileSync(join(root, '.belay.yml'), 'utf8')
const service = { 'package.json': '{ "scripts": { "test": "node --test" } }', 'package-lock.json': '{}', 'src/a.js': '' }

describe('init', () => {
  test('says what it found, and writes a file that `validate` and `plan` take', async () => {
    lay(service)
    const { code, out, err } = await belay(['init'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^found:\n {2}node {2}package\.json, npm, scripts test\nwrote \.belay\.yml: install, test\n/)
    expect(written()).toContain('branch: [trunk]')
    expect(await belay(['validate'])).toEqual({ code: 0, out: '.belay.yml: good\n', err: '' })
    expect(await belay(['plan'])).toMatchObject({ code: 0, out: expect.stringContaining('install, test') as string })
  })

  test('from a directory below writes at the top of the repository', async () => {
    lay(service)
    expect((await belay(['init'], join(root, 'src'))).code).toBe(0)
    expect(existsSync(join(root, 'src/.belay.yml'))).toBe(false)
    expect(written()).toContain('npm ci')
  })

  test('never touches a file that is there, not even a link that leads nowhere', async () => {
    lay({ ...service, '.belay.yml': 'mine' })
    expect(await belay(['init'])).toMatchObject({ code: 2, err: expect.stringContaining('--force') as string })
    expect(written()).toBe('mine')
    rmSync(join(root, '.belay.yml'))
    symlinkSync('nowhere', join(root, '.belay.yml'))
    expect(await belay(['init'])).toMatchObject({ code: 2 })
    expect(existsSync(join(root, 'nowhere'))).toBe(false)
  })

  test('does not add one beside the pipelines of .belay/', async () => {
    lay({ ...service, '.belay/docs.yml': 'steps: {}' })
    expect(await belay(['init'])).toMatchObject({ code: 2, err: expect.stringContaining('.belay/docs.yml') as string })
    expect(existsSync(join(root, '.belay.yml'))).toBe(false)
  })

  test('--force replaces the file, and a link is replaced, not followed', async () => {
    lay({ ...service, elsewhere: 'mine' })
    symlinkSync('elsewhere', join(root, '.belay.yml'))
    expect(await belay(['init', '--force'])).toMatchObject({ code: 0 })
    expect(readFileSync(join(root, 'elsewhere'), 'utf8')).toBe('mine')
    expect(written()).toContain('npm ci')
  })

  test('--print prints what would be written, and writes nothing', async () => {
    lay({ ...service, '.belay.yml': 'mine' })
    const { code, out } = await belay(['init', '--print'])
    expect(code).toBe(0)
    expect(written()).toBe('mine')
    await belay(['init', '--force'])
    expect(written()).toBe(out)
  })

  test('--json tells all of it', async () => {
    lay({ ...service, '.gitlab-ci.yml': 'a: { script: [make], image: x }' })
    const { out } = await belay(['init', '--json'])
    expect(JSON.parse(out)).toMatchObject({
      ...{ path: '.belay.yml', written: true, steps: ['a'], text: written() },
      findings: [
        { kind: 'gitlab', steps: ['a'], notes: ['job a: image'] },
        { kind: 'node', steps: [] },
      ],
    })
    expect(JSON.parse((await belay(['init', '--json', '--print', '--no-ci'])).out)).toMatchObject({
      ...{ written: false, steps: ['install', 'test'] },
    })
  })

  test('what Git ignores is not looked at, a link is not followed, and a file that is gone is not there', async () => {
    lay({ '.gitignore': 'pkg/\n', 'pkg/package.json': '{}', 'go.mod': 'module a\n' })
    execaSync('git', ['add', '--all'], { cwd: root })
    rmSync(join(root, 'go.mod'))
    symlinkSync('/etc/hostname', join(root, 'pom.xml'))
    expect(await belay(['init'])).toMatchObject({ code: 2, err: expect.stringContaining('found nothing here') as string })
  })

  test('a repository with nothing to build is exit 2, says what was looked for, and gets no file', async () => {
    lay({ 'package.json': '{' })
    const { code, err } = await belay(['init'])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('package.json: it cannot be read') as string })
    expect(existsSync(join(root, '.belay.yml'))).toBe(false)
  })

  test('outside of a repository is exit 2 and says what to do', async () => {
    rmSync(join(root, '.git'), { recursive: true })
    expect(await belay(['init'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/not a git repository.*\n.*git init/s) as string,
    })
  })
})
