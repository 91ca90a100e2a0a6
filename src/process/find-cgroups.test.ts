import { describe, expect, it } from 'vitest'
import { describeCgroups, findCgroups, parseHierarchies } from './find-cgroups.ts'

const line = (root: string, place: string, type: string, options: string) =>
  `31 23 0:28 ${root} ${place} rw,relatime shared:9 - ${type} ${type} ${options}`

describe('parseHierarchies', () => {
  it.each([
    [
      'a service of version 2',
      [line('/', '/cg', 'cgroup2', 'rw,nsdelegate')],
      '0::/system.slice/belay.service\n',
      [{ version: 2, directory: '/cg/system.slice/belay.service', controllers: [] }],
    ],
    [
      'processes that were moved aside: their parent was given to us',
      [line('/', '/cg', 'cgroup2', 'rw')],
      '0::/belay.service/belay-self\n',
      [{ version: 2, directory: '/cg/belay.service', controllers: [] }],
    ],
    [
      'both versions, and controllers that share a hierarchy',
      [
        line('/', '/cg/pids', 'cgroup', 'rw,pids'),
        line('/', '/cg/cpu,cpuacct', 'cgroup', 'rw,cpu,cpuacct'),
        line('/', '/cg/unified', 'cgroup2', 'rw'),
      ],
      '4:pids:/job\n3:cpu,cpuacct:/\n0::/\n',
      [
        { version: 1, directory: '/cg/pids/job', controllers: ['pids'] },
        { version: 1, directory: '/cg/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
        { version: 2, directory: '/cg/unified', controllers: [] },
      ],
    ],
    [
      'a container, which sees its own group only',
      [line('/docker/abc', '/cg/memory', 'cgroup', 'rw,memory')],
      '9:memory:/docker/abc\n',
      [{ version: 1, directory: '/cg/memory', controllers: ['memory'] }],
    ],
    ['a mount without our group in it', [line('/docker/abc', '/cg/memory', 'cgroup', 'rw,memory')], '9:memory:/docker\n', []],
    [
      'a place with a space in its name',
      [line('/', String.raw`/c\040g`, 'cgroup', 'rw,pids')],
      '9:pids:/a\n',
      [{ version: 1, directory: '/c g/a', controllers: ['pids'] }],
    ],
    ['other file systems', [line('/', '/tmp', 'tmpfs', 'rw,pids')], '9:pids:/\n', []],
  ])('%s', (_, mounts, own, expected) => {
    expect(parseHierarchies(mounts.join('\n'), own)).toEqual(expected)
  })
})

it('says in words what this machine allows', () => {
  const cgroups = findCgroups()
  expect(describeCgroups(cgroups)).toContain(cgroups.kind)
  expect(describeCgroups({ kind: 'none', obstacles: ['no cgroups are mounted'] })).toBe(
    'none (no cgroups are mounted): a step is a process group, and what leaves it is found by its environment',
  )
  const directory = '/cg'
  const v2 = { version: 2 as const, directory, controllers: ['memory'] }
  expect(describeCgroups({ kind: 'v2', kill: v2, memory: v2, obstacles: [] })).toBe(
    'v2: a group for each step, killed as a whole; limits of memory',
  )
})
