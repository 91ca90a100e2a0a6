import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { findIdentity } from './identity.ts'
import { tieToOurLife } from './tie-to-our-life.ts'

const sleeper = { file: '/bin/sleep', args: ['600'] }

it('is the same command where there is no setpriv', () => {
  expect(tieToOurLife(sleeper, '/nowhere')).toEqual(sleeper)
})

it('a child ends when its parent is killed', async () => {
  skipUnless(tieToOurLife(sleeper).file !== sleeper.file, 'there is no setpriv (package util-linux)')
  const { file, args } = tieToOurLife(sleeper)
  const program = `const child = require('node:child_process').spawn(${JSON.stringify(file)}, ${JSON.stringify(args)}, { detached: true }); console.log(child.pid); setTimeout(() => {}, 60000)`
  const parent = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const child = Number(line.toString())
  await sleep(200)
  expect(findIdentity(child)).toBeDefined()
  parent.kill('SIGKILL')
  for (let tries = 0; tries < 100 && findIdentity(child) !== undefined; tries += 1) await sleep(50)
  expect(findIdentity(child)).toBeUndefined()
})
