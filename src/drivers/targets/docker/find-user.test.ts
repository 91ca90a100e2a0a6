import { expect, test } from 'vitest'
import { listUids, refuseRoot } from './find-user.ts'

test.each([
  ['app:x:10001:10001::/:/bin/sh', [10_001]],
  ['root:x:0:0\napp:x:10001:10001\n', [10_001]],
  ['app:x:zero:0', [0]],
  ['app', [0]],
  ['app:x', [0]],
  [' \tapp:x:0:0', [0]],
  ['\u0085app:x:0:0\napp:x:10001:0', [0, 10_001]],
  ['\uFEFFapp:x:10001:0\napp:x:0:0', [10_001, 0]],
  ['app:x: 10001:0', [0]],
  ['app:x:4294967296:0', [0]],
  ['app:x:99999999999999999999:0', [0]],
  ['app:x:-1:0', [0]],
  ['app:x:0x10:0', [0]],
  ['application:x:10001:0', []],
  ['', []],
])('in the list %j the user app has the numbers %j', (passwd, expected) => {
  expect(listUids(passwd, 'app')).toEqual(expected)
})

test.each(['4294967296', '99999999999999999999', '+0x1', 'app'])(
  'the user %s is not taken for a number above 0 without a look',
  async (user) => {
    const asked: string[][] = []
    const docker = {
      engine: 'none',
      run: (args: readonly string[]) => {
        asked.push([...args])
        return Promise.resolve({ exitCode: 1, output: Buffer.from('Could not find the file /etc/passwd in container name') })
      },
      ask: () => Promise.resolve([]),
    }
    const message = expect.stringContaining('Could not find the file') as unknown
    await expect(refuseRoot(docker, 'name', user)).rejects.toMatchObject({ code: 'refused', message })
    expect(asked).toEqual([['container', 'cp', '--follow-link', '--', 'name:/etc/passwd', '-']])
  },
)
