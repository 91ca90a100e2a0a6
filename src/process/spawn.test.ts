import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { findIdentity, findTagged, groupHasLiveMember, isAlive, signalGroup } from './identity.ts'
import { spawnProcess, stopGroup, type Spawned, type SpawnOptions } from './spawn.ts'

const path = process.env['PATH'] ?? ''

describe('spawn', () => {
  let cwd: string
  let output: string
  const children: Spawned[] = []
  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'belay-spawn-'))
    output = ''
  })
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.stop(0)))
    rmSync(cwd, { recursive: true, force: true })
  })

  async function start(script: string, over: Partial<SpawnOptions> = {}): Promise<Spawned> {
    const sink = (chunk: Buffer) => (output += chunk.toString())
    const child = await spawnProcess({ file: 'sh', args: ['-c', script], cwd, env: { PATH: path }, output: sink, ...over })
    children.push(child)
    return child
  }
  async function whenPrinted(pattern: RegExp): Promise<string> {
    for (let match = pattern.exec(output); ; match = pattern.exec(output)) {
      if (match !== null) return match[1] ?? ''
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  it('tells exit codes from signals', async () => {
    expect(await (await start('exit 7')).done).toMatchObject({ exitCode: 7 })
    const killed = await (await start('kill -TERM $$')).done
    expect(killed).toMatchObject({ signal: 'SIGTERM' })
    expect(killed.exitCode).toBeUndefined()
  })

  it('passes arguments as they are, through no shell', async () => {
    const args = ['-c', 'printf "%s|" "$@"', 'sh', '$(id)', 'a b', "'", '']
    await (
      await start('', { args })
    ).done
    expect(output).toBe("$(id)|a b|'||")
  })

  it('inherits nothing of our environment', async () => {
    await (
      await start('env', { env: { PATH: path, ONLY: '1' } })
    ).done
    const names = output.split('\n').flatMap((line) => (line.includes('=') ? [line.slice(0, line.indexOf('='))] : []))
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)).sort()).toEqual(['ONLY', 'PATH'])
  })

  it('gives standard input, and an end of it where there is none', async () => {
    await (
      await start('cat; echo end', { input: 'given\n' })
    ).done
    await (
      await start('cat; echo end')
    ).done
    expect(output).toBe('given\nend\nend\n')
  })

  it('writes to an open file', async () => {
    const file = openSync(join(cwd, 'out'), 'w')
    await (
      await start('echo out; echo err >&2', { output: file })
    ).done
    closeSync(file)
    expect(readFileSync(join(cwd, 'out'), 'utf8')).toBe('out\nerr\n')
  })

  it('refuses a program that is not there, and a directory that is not there', async () => {
    await expect(start('', { file: 'no-such-program' })).rejects.toMatchObject({ code: 'refused' })
    await expect(start('true', { cwd: join(cwd, 'absent') })).rejects.toMatchObject({ code: 'refused' })
  })

  it('stops the whole group, whoever of it ignores SIGTERM', async () => {
    const child = await start(`trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo "ready $!"; wait`)
    const grandchild = Number(await whenPrinted(/ready (\d+)/))
    await child.stop(50)
    expect([child.pid, grandchild].map(findIdentity)).toEqual([undefined, undefined])
    expect(await child.done).toMatchObject({ signal: 'SIGKILL' })
  })

  it('lets whoever heeds SIGTERM tidy up', async () => {
    const child = await start(`trap 'echo tidied; exit 3' TERM; echo ready; while :; do sleep 0.05 || :; done`)
    await whenPrinted(/ready/)
    await child.stop(20_000)
    expect(await child.done).toMatchObject({ exitCode: 3 })
    expect(output).toContain('tidied')
  })

  it('stops what is left of a group whose leader has ended', async () => {
    const child = await start('sleep 600 >/dev/null 2>&1 & echo "left $!"; until [ -e go ]; do sleep 0.01; done')
    writeFileSync(join(cwd, 'go'), '')
    await child.done
    const left = Number(await whenPrinted(/left (\d+)/))
    expect(groupHasLiveMember(child.pid)).toBe(true)
    await stopGroup(child.identity, 1_000)
    expect(findIdentity(left)).toBeUndefined()
  })

  it('knows a process by more than its pid', async () => {
    const child = await start('exec sleep 600')
    expect(isAlive(child.identity)).toBe(true)
    for (const stranger of [
      { ...child.identity, startTime: '1' },
      { ...child.identity, bootId: 'another' },
    ]) {
      expect(isAlive(stranger)).toBe(false)
      expect(signalGroup(stranger, 'SIGKILL')).toBe(false)
    }
    expect(isAlive(child.identity)).toBe(true)
    await child.stop(1_000)
    // Read by its parent: a zombie still answers signals.
    await child.done
    expect(isAlive(child.identity)).toBe(false)
    expect(signalGroup(child.identity, 0)).toBe(false)
  })

  it('finds processes by a variable, also outside of their group, and by its whole value', async () => {
    skipUnless(process.platform === 'linux', 'finds processes through /proc, which only Linux has')
    const child = await start(`setsid sleep 600 >/dev/null 2>&1 & echo "ready $!"`, { env: { PATH: path, TAG: cwd } })
    await child.done
    await whenPrinted(/ready (\d+)/)
    const [found, ...others] = findTagged('TAG', cwd)
    expect(others).toEqual([])
    expect(findTagged('TAG', cwd.slice(0, -1))).toEqual([])
    if (found !== undefined) process.kill(found, 'SIGKILL')
    expect(found).toBeDefined()
  })
})
