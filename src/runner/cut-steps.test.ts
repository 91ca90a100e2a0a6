import { randomUUID } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing, type SmallDisk } from '../../test/helpers/small-disk.ts'
import { isAlive } from '../process/identity.ts'
import { spawnProcess, type Spawned } from '../process/spawn.ts'
import { cutSteps } from './cut-steps.ts'
import { createJournals } from './journal.ts'

describe('cut-steps', () => {
  let directory: string
  let disk: SmallDisk | undefined
  const steps: Spawned[] = []
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'belay-cut-'))
  })
  afterEach(async () => {
    await Promise.all(steps.splice(0).map((step) => step.stop(0)))
    rmSync(directory, { recursive: true, force: true })
    await disk?.remove()
    disk = undefined
  })

  const journals = () => createJournals(join(directory, 'journal'))

  async function runStep(name: string) {
    const runId = randomUUID()
    const journal = journals().begin({ runId, epoch: 1, work: 'segment', token: 'dG9rZW4=' })
    journal.started(name, 1)
    const env = { PATH: process.env['PATH'] ?? '' }
    const step = await spawnProcess({ file: 'sleep', args: ['600'], cwd: directory, env })
    steps.push(step)
    journal.spawned(name, step.identity)
    const [file = ''] = journals()
      .list(runId)
      .map((record) => record.file)
    return { runId, journal, step, file }
  }

  it('kills every step, also one whose journal takes no line any more, and says then what went wrong', async () => {
    skipUnless(smallDiskMissing() === undefined, smallDiskMissing() ?? '')
    disk = await mountSmallDisk({ bytes: 1024 * 1024, owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 } })
    const { runId, step, file } = await runStep('noted-on-a-full-disk')
    const full = join(disk.directory, 'journal.jsonl')
    appendFileSync(full, readFileSync(file))
    rmSync(file)
    symlinkSync(full, file)
    // A page that is begun takes more; empty lines say nothing.
    appendFileSync(full, '\n'.repeat(4096 - (statSync(full).size % 4096)))
    const other = await runStep('noted-elsewhere')
    await disk.leaveFree(0)
    await expect(cutSteps(directory)).rejects.toThrow(/ENOSPC/)
    expect([step, other.step].map(({ identity }) => isAlive(identity))).toEqual([false, false])
    expect(other.journal.wasCut('noted-elsewhere', 1)).toBe(true)
    expect(journals().list(runId)).toMatchObject([{ running: [{ cut: false }] }])
  })

  it('kills every step, also where one journal cannot be read, and says then what went wrong', async () => {
    const { step, journal } = await runStep('readable')
    // Reading it fails, as it does where a disk is broken.
    mkdirSync(join(directory, 'journal', randomUUID(), '1.segment.jsonl'), { recursive: true })
    mkdirSync(join(directory, 'journal', 'no-run'))
    await expect(cutSteps(directory)).rejects.toThrow(/EISDIR/)
    expect(isAlive(step.identity)).toBe(false)
    expect(journal.wasCut('readable', 1)).toBe(true)
  })
})
