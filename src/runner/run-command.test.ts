import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { findIdentity, type ProcessIdentity } from '../process/identity.ts'
import { tagVariable } from './leftovers.ts'
import { runCommand, type CommandEnd, type RunCommandInput } from './run-command.ts'
import { stopWith } from './stop.ts'
import type { WorkspaceDirs } from './workspace/workspaces.ts'

describe('run-command', () => {
  let root: string
  let dirs: WorkspaceDirs
  let output: string
  let leader: ProcessIdentity | undefined
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'belay-run-')))
    const place = (name: string) => join(root, name)
    dirs = { made: 1, root, checkout: place('checkout'), home: place('home'), tmp: place('tmp'), output: place('output') }
    for (const directory of [dirs.checkout, dirs.home, dirs.tmp, dirs.output]) mkdirSync(directory)
    output = ''
    leader = undefined
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  async function run(
    lines: string[],
    over: Partial<RunCommandInput> & { shell?: 'sh' | 'bash'; in?: string } = {},
  ): Promise<CommandEnd> {
    return await runCommand({
      commands: { lines, shell: over.shell ?? 'sh', workingDirectory: over.in ?? '.' },
      dirs,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: dirs.home,
        [tagVariable]: `test/${root}`,
        BELAY_STEP: 's',
        BELAY_ATTEMPT: '1',
      },
      timeoutMs: 30_000,
      graceMs: 300,
      signal: new AbortController().signal,
      output: (chunk) => (output += chunk.toString()),
      spawned: (identity) => (leader = identity),
      ...over,
    })
  }

  /** Waits until the step has said this. */
  async function whenPrinted(text: string): Promise<void> {
    while (!output.includes(text)) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  it('keeps the order of what goes to stdout and to stderr', async () => {
    const pairs = Array.from({ length: 300 }, (_, index) => index)
    await run(['for i in $(seq 0 299); do echo "out $i"; echo "err $i" >&2; done'])
    expect(output.split('\n').slice(1, -1)).toEqual(pairs.flatMap((index) => [`out ${String(index)}`, `err ${String(index)}`]))
  })

  it('prints each line before what it prints, and carries directory and variables over', async () => {
    expect(await run(['mkdir sub && cd sub', 'x=1', 'echo "$x in $(basename "$PWD")"'])).toEqual({
      type: 'exited',
      exitCode: 0,
      line: 3,
    })
    expect(output).toBe('$ mkdir sub && cd sub\n$ x=1\n$ echo "$x in $(basename "$PWD")"\n1 in sub\n')
  })

  it('stops at the first line that fails, and names it', async () => {
    expect(await run(['true', 'sh -c "exit 7"', 'echo never'])).toEqual({ type: 'exited', exitCode: 7, line: 2 })
    expect(output).toBe('$ true\n$ sh -c "exit 7"\n')
  })

  it('runs nothing of a line by printing it', async () => {
    const hostile = [
      `echo '$(touch x)'`,
      'echo "\'$(echo in)\'"',
      'echo `echo tick` \\',
      '# only a comment',
      'printf "%s\\n" "a\nb"',
      "echo 'it'\\''s'",
    ]
    expect(await run(hostile)).toMatchObject({ type: 'exited', exitCode: 0 })
    expect(existsSync(join(dirs.checkout, 'x'))).toBe(false)
    expect(output).toContain("$ echo '$(touch x)'\n$(touch x)\n")
    expect(output).toContain("'in'\n")
    expect(output).toContain('$ printf "%s\\n" "a\n> b"\na\nb\n')
    expect(output).toContain("$ echo 'it'\\''s'\nit's\n")
  })

  it('prints any line exactly as it was written', async () => {
    const line = fc
      .string({ unit: fc.constantFrom(...Array.from('ab \'"`$\\%-#\n*?~!(){}é')), minLength: 1, maxLength: 30 })
      .map((text) => `: <<'BELAY_END'\n${text}\nBELAY_END`)
    await fc.assert(
      fc.asyncProperty(line, async (text) => {
        output = ''
        expect(await run([text])).toMatchObject({ exitCode: 0 })
        expect(output).toBe(`$ ${text.replaceAll('\n', '\n> ')}\n`)
      }),
      { numRuns: 40 },
    )
  })

  it('keeps to sh -e, and adds pipefail for bash', async () => {
    expect(await run(['false | true'])).toMatchObject({ exitCode: 0 })
    expect(await run(['false | true'], { shell: 'bash' })).toMatchObject({ exitCode: 1 })
  })

  it('says by which signal a command was ended', async () => {
    expect(await run(['kill -KILL $$'])).toEqual({ type: 'signalled', signal: 'SIGKILL', line: 1 })
  })

  it('gives a command nothing but the environment that was composed for it', async () => {
    await run(['env'])
    const names = output
      .split('\n')
      .flatMap((line) => (line.includes('=') && !line.startsWith('$') ? [line.slice(0, line.indexOf('='))] : []))
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)).sort()).toEqual(
      ['BELAY_ATTEMPT', 'BELAY_STEP', tagVariable, 'HOME', 'PATH'].sort(),
    )
  })

  it('kills the whole group at the time limit, a child that was forked twice and ignores SIGTERM included', async () => {
    const end = await run(
      [`(trap '' TERM; (trap '' TERM; echo "pid $(sh -c 'echo $PPID')"; while :; do sleep 1; done) & wait) & wait`],
      { timeoutMs: 400 },
    )
    expect(end).toEqual({ type: 'timed_out', line: 1 })
    const pid = Number(/^pid (\d+)/m.exec(output)?.[1])
    expect(findIdentity(pid)).toBeUndefined()
  })

  it('kills a child that left the group when it is cancelled', async () => {
    skipUnless(process.platform === 'linux', 'finds processes through /proc, which only Linux has')
    const controller = new AbortController()
    const running = run([`setsid sh -c 'echo "pid $$"; exec sleep 600' & wait`], { signal: controller.signal })
    await whenPrinted('pid ')
    stopWith(controller, 'cancelled')
    expect(await running).toEqual({ type: 'stopped', reason: 'cancelled' })
    expect(findIdentity(Number(/^pid (\d+)/m.exec(output)?.[1]))).toBeUndefined()
  })

  it('gives a cancelled command its grace to tidy up', async () => {
    const controller = new AbortController()
    const running = run([`trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.05 || :; done`], {
      signal: controller.signal,
      graceMs: 20_000,
    })
    await whenPrinted('\nready')
    stopWith(controller, 'cancelled')
    expect(await running).toEqual({ type: 'stopped', reason: 'cancelled' })
    expect(output).toContain('tidied\n')
  })

  it('starts nothing if it is stopped before', async () => {
    const controller = new AbortController()
    stopWith(controller, 'drained')
    expect(await run(['touch x'], { signal: controller.signal })).toEqual({ type: 'stopped', reason: 'drained' })
    expect(leader).toBeUndefined()
  })

  it('ends with its shell, and kills what was left in the background with the output open', async () => {
    skipUnless(process.platform === 'linux', 'finds processes through /proc, which only Linux has')
    const end = await run(['sleep 600 & echo "in group $!"', `setsid sleep 600 & echo "outside $!"`])
    expect(end).toEqual({ type: 'exited', exitCode: 0, line: 2 })
    for (const [, pid] of output.matchAll(/(?:group|outside) (\d+)$/gm)) expect(findIdentity(Number(pid))).toBeUndefined()
    expect([...output.matchAll(/(?:group|outside) (\d+)$/gm)]).toHaveLength(2)
  })

  it('runs in the working directory, and refuses one outside the workspace, also by a link', async () => {
    mkdirSync(join(dirs.checkout, 'deep'))
    await run(['echo "in $PWD"'], { in: 'deep' })
    expect(output).toContain(`in ${join(dirs.checkout, 'deep')}\n`)
    symlinkSync(root, join(dirs.checkout, 'link'))
    for (const outside of ['..', '/', 'link', 'deep/../../home'])
      await expect(run(['true'], { in: outside })).rejects.toMatchObject({ code: 'refused' })
    await expect(run(['true'], { in: 'absent' })).rejects.toMatchObject({ code: 'refused' })
  })

  it('leaves no script behind, and lets none be slipped under it', async () => {
    await run(['ls "$0" && cp "$0" "$HOME/copy"'])
    expect(readFileSync(join(dirs.home, 'copy'), 'utf8')).toContain('command printf')
    expect(await run(['ls -A ../tmp | grep -c script'])).toMatchObject({ exitCode: 0 })
    rmSync(dirs.tmp, { recursive: true })
    symlinkSync(dirs.home, dirs.tmp)
    await expect(run(['true'])).rejects.toThrow(/ELOOP|ENOTDIR/)
  })

  it('runs as the step user, who can read its script and nothing of ours', async () => {
    skipUnless(process.getuid?.() === 0, 'only root can run a step as another user')
    const user = { uid: 65534, gid: 65534 }
    chmodSync(root, 0o711)
    for (const directory of [dirs.checkout, dirs.home, dirs.tmp]) chownSync(directory, user.uid, user.gid)
    writeFileSync(join(root, 'ours'), 'ours', { mode: 0o600 })
    expect(await run(['id -u; id -g; id -G', 'touch mine; cat ../ours'], { user })).toMatchObject({
      type: 'exited',
      exitCode: 1,
      line: 2,
    })
    expect(output).toContain('\n65534\n65534\n65534\n')
    expect(statSync(join(dirs.checkout, 'mine')).uid).toBe(65534)
  })

  it('names no line if the step itself spoiled the note of it', async () => {
    expect(await run(['for f in ../tmp/line-*; do rm "$f"; mkfifo "$f"; done; false'])).toEqual({
      type: 'exited',
      exitCode: 1,
      line: undefined,
    })
  })

  it('runs a program of the operator’s choice only: no shell, refused', async () => {
    await expect(run(['true'], { env: { PATH: '/nonexistent' } })).rejects.toMatchObject({ code: 'refused' })
  })
})
