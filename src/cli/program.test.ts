import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findFreePort } from '../process/free-port.ts'
import { runProgram } from './program.ts'
import { testIo } from './test-io.ts'

let cwd: string

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'belay-cli-'))
})

afterEach(async () => {
  await rm(cwd, { recursive: true, force: true })
})

async function belay(args: string[], env: NodeJS.ProcessEnv = {}) {
  const io = testIo({ cwd, env: { PATH: process.env['PATH'], HOME: cwd, ...env } })
  await runProgram(args, io)
  return io.result
}

const pipeline = `name: release
steps:
  build: { commands: [make] }
  image: { build_image: { builder: pack, repository: shop/app, files: { dist/: /app }, entrypoint: [node, /app/server.js] } }
  docs:
    needs: [build]
    when: { branch: docs }
    commands: [make docs]
  ship: { needs: [image], deploy: { environment: production } }
finally:
  tell: { commands: [echo done] }
`

describe('usage', () => {
  test.each([
    ['a command that is not there', ['nope'], "unknown command 'nope'"],
    ['a flag that is not there', ['runs', '--nope'], "unknown option '--nope'"],
    ['a status that is not there', ['runs', '--status', 'x'], 'One of queued, running'],
    ['a limit out of range', ['runs', '--limit', '201'], 'A number from 1 to 200'],
    ['a missing argument', ['show'], "missing required argument 'run'"],
    ['a release that is not said', ['deploy', 'production'], "missing required argument 'release'"],
    ['a token without a role', ['token', 'create', 'ci'], "required option '-r, --role <role>' not specified"],
    ['a role that is not there', ['token', 'create', 'ci', '--role', 'root'], 'viewer, operator, approver, admin, runner'],
    ['memory of a step without a unit', ['worker', 'runner', '-u', 'http://x', '--step-memory', '2048'], 'such as 512M or 2G'],
    ['too few processes of a step', ['worker', 'runner', '-u', 'http://x', '--step-pids', '4'], 'A number from 16 to 100000'],
    ['a listen address without port', ['up', '--listen', 'localhost'], '--listen localhost is not host:port'],
  ])('%s is exit 2 and says why', async (_, args, message) => {
    await mkdir(join(cwd, '.git'))
    const { code, err } = await belay(args)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) as string })
  })

  test('--help and --version are good', async () => {
    expect(await belay(['--help'])).toMatchObject({ code: 0, err: '' })
    expect(await belay(['--version'])).toMatchObject({ code: 0, out: '0.1.0\n' })
  })

  test('--help says which server it would be, and what said so', async () => {
    const { out } = await belay(['runs', '--help'], { BELAY_URL: 'http://here.example', BELAY_TOKEN: 'hush' })
    expect(out).toContain('Now: server http://here.example (BELAY_URL); token from BELAY_TOKEN.')
    expect(out).not.toContain('hush')
  })

  test('the hidden command is not shown', async () => {
    expect((await belay(['--help'])).out).not.toMatch(/^ {2}part/m)
  })
})

describe('server', () => {
  test('no server is exit 5', async () => {
    const port = await findFreePort()
    const { code, err } = await belay(['runs'], { BELAY_URL: `http://127.0.0.1:${String(port)}`, BELAY_TOKEN: 'x' })
    expect({ code, err }).toEqual({ code: 5, err: expect.stringContaining('cannot reach the server') as string })
  })

  test.each([['releases'], ['deploy', 'production', '1'], ['token', 'list']])(
    '`%s` without a server is exit 5',
    async (...args) => {
      const port = await findFreePort()
      const { code } = await belay(args, { BELAY_URL: `http://127.0.0.1:${String(port)}`, BELAY_TOKEN: 'x' })
      expect(code).toBe(5)
    },
  )

  test('no token is exit 2 and says how to have one', async () => {
    const { code, err } = await belay(['envs'])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('Set BELAY_TOKEN') as string })
  })

  test('a worker without Temporal says how to name one', async () => {
    await mkdir(join(cwd, '.git'))
    const { code, err } = await belay(['worker', 'control'])
    expect({ code, err }).toEqual({ code: 5, err: expect.stringContaining('Set TEMPORAL_ADDRESS') as string })
  })

  test('`up` outside of a repository and without a configuration says what to do', async () => {
    const { code, err } = await belay(['up'])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('Go into a repository') as string })
  })
})

describe('validate', () => {
  test('a good file is good', async () => {
    await writeFile(join(cwd, '.belay.yml'), pipeline)
    expect(await belay(['validate'])).toEqual({ code: 0, out: '.belay.yml: good\n', err: '' })
  })

  test('a broken file is exit 2, with line, column, caret and remedy', async () => {
    await writeFile(join(cwd, '.belay.yml'), pipeline.replace('commands: [make]', 'comands: [make]'))
    const { code, err } = await belay(['validate'])
    expect(code).toBe(2)
    expect(err).toContain('.belay.yml:3:12: error[')
    expect(err).toContain('   3 |   build: { comands: [make] }')
    expect(err).toMatch(/^ +\| +\^$/m)
    expect(err).toContain('commands')
  })

  test('every file is checked, and --json has them all', async () => {
    await mkdir(join(cwd, '.belay'))
    await writeFile(join(cwd, '.belay', 'a.yml'), pipeline)
    await writeFile(join(cwd, '.belay', 'b.yml'), 'steps: 1\n')
    const { code, out } = await belay(['validate', '--json'])
    const { files } = JSON.parse(out) as { files: { path: string; problems: unknown[] }[] }
    expect(files.map(({ path, problems }) => [path, problems.length > 0])).toEqual([
      ['.belay/a.yml', false],
      ['.belay/b.yml', true],
    ])
    expect(code).toBe(2)
  })

  test('with a configuration, what the project does not have is a problem', async () => {
    await writeFile(join(cwd, '.belay.yml'), pipeline)
    await writeFile(join(cwd, 'belay.config.yml'), 'projects: { shop: { repository: "file:///s" } }\n')
    const { code, err } = await belay(['validate', '--config', 'belay.config.yml'])
    expect(code).toBe(2)
    expect(err).toContain('unknown_environment')
  })

  test('no pipeline at all is exit 2', async () => {
    expect(await belay(['validate'])).toMatchObject({ code: 2, err: expect.stringContaining('no .belay.yml here') as string })
  })
})

describe('plan', () => {
  test('prints waves, segments, the implied release, the undo stack, what is skipped, and finally', async () => {
    await writeFile(join(cwd, '.belay.yml'), pipeline)
    const { code, out } = await belay(['plan', '--branch', 'main'])
    expect(code).toBe(0)
    expect(out).toMatch(/waves.*\n {2}1 {2}build\n {2}2 {2}image \(build_image\)\n/)
    expect(out).toMatch(/segments.*\n {2}0 {2}build\n/)
    expect(out).toContain('(implied: the only image is the release)')
    expect(out).toMatch(/undo stack.*\n {2}ship {2}production goes back/)
    expect(out).toMatch(/skipped\n {2}docs {2}when: the branch "main" is not docs/)
    expect(out).toMatch(/finally\n {2}tell {2}on always/)
  })

  test('says on which ends something is taken back, and what settles it', async () => {
    const text = 'steps:\n  a: { commands: [x], undo: { commands: [y] } }\n  b: { commands: [x], settle: true }\n'
    await writeFile(join(cwd, '.belay.yml'), `${text}  c: { commands: [x], settle: true }\n`)
    const { out } = await belay(['plan', '--branch', 'main'])
    expect(out).toContain(
      'if the run fails, errors, times out or is cancelled\n  a  runs `y` (up to 5 times); not any more once b has succeeded\n',
    )
    expect(out).toMatch(/settling points.*\n {2}b {2}a\n {2}c {2}a\n/)
    const { plans } = JSON.parse((await belay(['plan', '--json', '-b', 'main'])).out) as { plans: { explanation: unknown }[] }
    expect(plans[0]?.explanation).toMatchObject({
      undo: [{ step: 'a', on: ['failed', 'errored', 'timed_out', 'cancelled'], until: ['b'] }],
      settles: [
        { step: 'b', discharges: ['a'] },
        { step: 'c', discharges: ['a'] },
      ],
    })
  })

  test('a branch that the pipeline is not for is said, and is good', async () => {
    await writeFile(join(cwd, '.belay.yml'), `when: { branch: main }\n${pipeline}`)
    const { code, out } = await belay(['plan', '--branch', 'other'])
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringContaining('nothing to do (when: the branch "other" is not main)') as string,
    })
  })

  test('--json holds the whole plan and its digest', async () => {
    await writeFile(join(cwd, '.belay.yml'), pipeline)
    const { out } = await belay(['plan', '--json', '-b', 'main'])
    const { plans } = JSON.parse(out) as { plans: { digest: string; plan: { steps: { id: string }[] } }[] }
    expect(plans[0]?.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(plans[0]?.plan.steps.map(({ id }) => id)).toContain('ship')
  })
})

describe('doctor', () => {
  test('names what is missing, how to mend it, and exits 1', async () => {
    await mkdir(join(cwd, '.git'))
    await mkdir(join(cwd, '.belay'), { mode: 0o755 })
    const { code, out } = await belay(['doctor'], { PATH: join(cwd, 'empty') })
    expect(code).toBe(1)
    expect(out).toMatch(/✗ git +not found on PATH\n +mend: Install Git/)
    expect(out).toMatch(/✗ data .*mode 755\n +mend: chmod 700/)
    expect(out).toContain('things are missing')
  })

  test('shows every problem of the configuration', async () => {
    await writeFile(join(cwd, 'belay.config.yml'), 'projects: { shop: { repository: 1, polls: 2 } }\n')
    const { code, out } = await belay(['doctor', '--json'])
    const { findings } = JSON.parse(out) as { findings: { name: string; state: string; detail: string }[] }
    expect(code).toBe(1)
    expect(findings[0]).toMatchObject({
      name: 'config',
      state: 'bad',
      detail: expect.stringContaining('polls: unknown key') as string,
    })
  })

  test('shows which Temporal it would be', async () => {
    const port = await findFreePort()
    const { out } = await belay(['doctor'], { TEMPORAL_ADDRESS: `127.0.0.1:${String(port)}` })
    expect(out).toContain(`✗ temporal   at 127.0.0.1:${String(port)}, which does not answer`)
  })
})
