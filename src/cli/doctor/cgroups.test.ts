import { expect, it } from 'vitest'
import type { Cgroups } from '../../process/find-cgroups.ts'
import { judgeCgroups } from './cgroups.ts'

const none: Cgroups = { kind: 'none', obstacles: ['no cgroups are mounted'] }
const directory = '/cg'
const all = { version: 2 as const, directory, controllers: ['memory', 'pids'] }

it('a machine without cgroups is worth knowing, and nothing is missing', () => {
  expect(judgeCgroups(none, {})).toMatchObject([
    { state: 'note', detail: expect.stringContaining('no cgroups are mounted') as string },
  ])
})

it('a machine with them is good, limits included', () => {
  expect(judgeCgroups({ kind: 'v2', kill: all, memory: all, pids: all, obstacles: [] }, { pids: 64 })).toMatchObject([
    { state: 'good', detail: 'v2: a group for each step, killed as a whole; limits of memory and pids' },
  ])
})

it('a limit that cannot be kept here is bad, with how to mend it', () => {
  expect(judgeCgroups(none, { memoryBytes: 1024 ** 3 })).toMatchObject([
    { state: 'note' },
    { state: 'bad', detail: expect.stringContaining('a limit of memory') as string, mend: expect.any(String) as string },
  ])
})
