import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../test/helpers/until.ts'
import { skipUnless } from '../../test/helpers/skips.ts'
import { findTagged } from '../process/identity.ts'
import { silentLog } from './testing/wait-for.ts'
import { startWatched, type WatchedOptions } from './watched.ts'

const mark = 'BELAY_TEST_WATCHDOG'

let directory: string
let id: string
beforeEach(() => {
  skipUnless(process.platform === 'linux', 'finds processes by a variable of theirs, which only Linux can')
  directory = mkdtempSync(join(tmpdir(), 'belay-watched-'))
  id = randomUUID()
})
afterEach(() => {
  killAll()
  rmSync(directory, { recursive: true, force: true })
})

function killAll(): void {
  for (const pid of findTagged(mark, id)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** It watches nothing, and stays until it is killed. */
const optionsOf = (log = silentLog): WatchedOptions => ({
  ...{ directory, log, program: { file: 'sh', args: ['-c', 'while :; do sleep 1; done', 'sh'] } },
  env: { PATH: process.env['PATH'] ?? '', [mark]: id },
})
const record = () => join(directory, 'watchdog.json')
/** As on a full disk: which one it is cannot be written down. */
const refuseRecord = () => {
  rmSync(record(), { force: true })
  mkdirSync(record())
}

it('leaves no watchdog behind that could not be written down: it would end every step', async () => {
  refuseRecord()
  await expect(startWatched(optionsOf())).rejects.toThrow(/EISDIR|directory/)
  expect(findTagged(mark, id)).toEqual([])
})

it('insists on a watchdog without leaving one behind at each try', async () => {
  let refused = 0
  const watched = await startWatched(optionsOf({ ...silentLog, error: () => void (refused += 1) }))
  refuseRecord()
  killAll()
  await until('it was tried twice', () => refused >= 2)
  await until('both have gone', () => findTagged(mark, id).length === 0)
  rmSync(record(), { recursive: true })
  writeFileSync(record(), '{}')
  await until('there is one again', () => findTagged(mark, id).length > 0)
  await watched.release()
  expect(findTagged(mark, id)).toEqual([])
})
