import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../../test/helpers/until.ts'
import { testIo } from '../test-io.ts'
import { takeRunnerToken } from './runner-token.ts'

let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'belay-token-'))
})

afterEach(() => {
  rmSync(cwd, { recursive: true, force: true })
})

it('is taken from the environment', async () => {
  const env = { BELAY_RUNNER_TOKEN: 'given', BELAY_RUNNER_TOKEN_FILE: 'nowhere' }
  expect(await takeRunnerToken(testIo({ cwd, env }))).toBe('given')
})

it('is waited for until there is something in its file, and said so once', async () => {
  const io = testIo({ cwd, env: { BELAY_RUNNER_TOKEN_FILE: 'volume/token' } })
  let taken: string | undefined
  const taking = takeRunnerToken(io).then((token) => (taken = token))
  await until('it waits', () => io.result.out !== '')
  mkdirSync(join(cwd, 'volume'))
  writeFileSync(join(cwd, 'volume/token'), '')
  expect(taken).toBeUndefined()
  writeFileSync(join(cwd, 'volume/token'), 'written\n')
  expect(await taking).toBe('written')
  expect(io.result.out).toBe(`waiting for the runner's token in ${join(cwd, 'volume/token')}\n`)
})

it('that nobody names is an error that says how to name it', async () => {
  await expect(takeRunnerToken(testIo({ cwd }))).rejects.toMatchObject({
    code: 'unauthenticated',
    message: expect.stringContaining('BELAY_RUNNER_TOKEN_FILE') as string,
    hint: expect.stringContaining('runner/token') as string,
  })
})

it('in a file that cannot be read is an error, not a reason to wait', async () => {
  const io = testIo({ cwd, env: { BELAY_RUNNER_TOKEN_FILE: cwd } })
  await expect(takeRunnerToken(io)).rejects.toMatchObject({ code: 'invalid_input' })
})
