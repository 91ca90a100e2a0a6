import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { skipUnless } from '../../../test/helpers/skips.ts'
import { findTagged } from '../../process/identity.ts'
import { runProgram } from './run-program.ts'

it('lets no program go on that could not be noted', async () => {
  skipUnless(process.platform === 'linux', 'finds processes by a variable of theirs, which only Linux can')
  const id = randomUUID()
  const running = runProgram({
    ...{ file: 'sleep', args: ['600'], workspace: '/', env: { PATH: process.env['PATH'] ?? '', BELAY_TEST_PROGRAM: id } },
    ...{ signal: new AbortController().signal, log: () => undefined },
    spawned() {
      throw new Error('the disk is full')
    },
  })
  await expect(running).rejects.toThrow('the disk is full')
  expect(findTagged('BELAY_TEST_PROGRAM', id)).toEqual([])
})
