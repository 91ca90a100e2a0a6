import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { hostCommand, hostWorkingDirectory } from './app-command.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'belay-command-'))
  mkdirSync(`${root}/app/dist`, { recursive: true })
  writeFileSync(`${root}/app/dist/server.js`, '')
})
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

it('replaces what names something of the image, and leaves the rest', () => {
  const command = ['node', '--title=/app', '/app/dist/server.js', '/app/dist/../dist/', '/etc/hostname', 'plain']
  expect(hostCommand(command, root)).toEqual([
    'node',
    '--title=/app',
    `${root}/app/dist/server.js`,
    `${root}/app/dist`,
    '/etc/hostname',
    'plain',
  ])
})

it('never climbs out of the image', () => {
  expect(hostCommand(['/../../etc/passwd'], root)).toEqual(['/../../etc/passwd'])
})

it("starts in the image's working directory if it is there", () => {
  expect(hostWorkingDirectory('/app', root)).toBe(`${root}/app`)
  expect(hostWorkingDirectory('/', root)).toBe(root)
  expect(hostWorkingDirectory('/missing', root)).toBe(root)
})
