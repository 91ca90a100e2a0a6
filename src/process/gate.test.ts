import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, it, onTestFinished } from 'vitest'
import { findProgram, gatedArgs, letThrough } from './gate.ts'

function makePlace(): string {
  const place = mkdtempSync(join(tmpdir(), 'belay-gate-'))
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  return place
}

it('a program begins when it is let through, with its own arguments and without the gate', async () => {
  const script = 'echo "$1"; if (: >&3) 2>/dev/null; then echo open; else echo closed; fi'
  const { file, args } = gatedArgs('/bin/sh', ['-c', script, 'sh', `it's "$HOME"`])
  const child = execa(file, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  letThrough(child.stdio[3])
  expect((await child).stdout).toBe(`it's "$HOME"\nclosed`)
})

it('a program whose starter has died never begins', async () => {
  const place = makePlace()
  const { file, args } = gatedArgs('/bin/sh', ['-c', 'touch begun'])
  const child = execa(file, args, { cwd: place, reject: false, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const gate = child.stdio[3]
  // As the kernel closes it.
  if (gate !== null && gate !== undefined && 'destroy' in gate) gate.destroy()
  expect((await child).exitCode).toBe(126)
  expect(existsSync(join(place, 'begun'))).toBe(false)
})

it('a program is looked for as the system does it: by a path, or on PATH', () => {
  const sh = findProgram('sh', '/nonexistent:/bin', '/')
  expect(sh).toBe('/bin/sh')
  expect(findProgram('bin/sh', '', '/')).toBe('/bin/sh')
  expect(findProgram('sh', '/nonexistent', '/')).toBeUndefined()
  expect(findProgram('etc', '/', '/')).toBeUndefined()
})
