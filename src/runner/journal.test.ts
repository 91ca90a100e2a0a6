import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing } from '../../test/helpers/small-disk.ts'
import type { Outcome } from '../domain/step.ts'
import { createJournals, type Journals } from './journal.ts'

const runId = '0f8fad5b-d9cb-469f-a165-70867728950e'
const identity = { pid: 12, startTime: '34', bootId: 'boot' }
const outcome: Outcome = { step: 'build', attempt: 1, epoch: 3, status: 'succeeded', startedAt: 1, endedAt: 2, exitCode: 0 }

describe('journal', () => {
  let directory: string
  let journals: Journals
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'belay-journal-'))
    journals = createJournals(directory)
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const begin = () => journals.begin({ runId, epoch: 3, work: 'segment', token: 'dG9rZW4=' })
  const fileOf = (index = 0) => join(directory, runId, readdirSync(join(directory, runId)).sort()[index] ?? '')

  it('tells the next life what finished and what was running, with its process group', () => {
    const journal = begin()
    journal.started('build', 1)
    journal.spawned('build', { ...identity, pid: 11 })
    journal.outcome(outcome)
    journal.started('test', 1)
    journal.spawned('test', identity)
    const [record] = createJournals(directory).list()
    expect(record).toMatchObject({
      outcomes: [outcome],
      interrupted: ['test'],
      identities: [identity],
      returned: false,
      reported: false,
    })
    expect(record?.begun.token).toBe('dG9rZW4=')
  })

  it('leaves out a line that a kill tore, and keeps those before it', () => {
    const journal = begin()
    journal.started('build', 1)
    journal.outcome(outcome)
    const { length } = readFileSync(fileOf())
    truncateSync(fileOf(), length - 5)
    expect(journals.list(runId)[0]).toMatchObject({ outcomes: [], interrupted: ['build'] })
  })

  it('goes on after a torn line without losing the next one', () => {
    begin()
    appendFileSync(fileOf(), '{"type":"outc')
    const [record] = journals.list()
    if (record === undefined) throw new Error('no record')
    journals.markReported(record)
    expect(journals.list()[0]?.reported).toBe(true)
  })

  it('is told by another process which attempts that one is about to end', () => {
    const journal = begin()
    journal.started('build', 1)
    journal.outcome(outcome)
    journal.started('test', 2)
    const [record] = createJournals(directory).list()
    if (record === undefined) throw new Error('no record')
    expect(record.running).toEqual([{ step: 'test', attempt: 2, cut: false }])
    createJournals(directory).markCut(record, record.running)
    journal.spawned('test', identity)
    expect(['build', 'test'].map((step) => journal.wasCut(step, 2))).toEqual([false, true])
    expect(journal.wasCut('test', 1)).toBe(false)
    expect(journals.list()[0]).toMatchObject({ interrupted: ['test'], running: [{ step: 'test', cut: true, identity }] })
  })

  it('ignores a file whose first line is no journal', () => {
    begin()
    truncateSync(fileOf(), 8)
    expect(journals.list()).toEqual([])
  })

  it('lists the journals of a run in the order in which they began', () => {
    begin()
    journals.begin({ runId, epoch: 4, work: 'script', token: 'eA==' })
    journals.begin({ runId, epoch: 5, work: 'opening', token: 'eQ==' })
    expect(journals.list(runId).map((record) => record.begun.epoch)).toEqual([3, 4, 5])
  })

  it('counts a step that we stopped ourselves as interrupted', () => {
    const journal = begin()
    journal.started('build', 1)
    journal.interrupted('build')
    journal.returned()
    expect(journals.list()[0]).toMatchObject({ interrupted: ['build'], returned: true })
  })

  it('removes all journals of a run, and nothing to remove is fine', () => {
    begin()
    journals.remove(runId)
    journals.remove(runId)
    expect(journals.list()).toEqual([])
  })

  it('leaves the journals of later epochs, and removes what cannot be read', () => {
    begin()
    journals.begin({ runId, epoch: 4, work: 'opening', token: 'eQ==' })
    mkdirSync(join(directory, runId, '1.segment.jsonl'))
    journals.remove(runId, 3)
    expect(journals.list().map((record) => record.begun.epoch)).toEqual([4])
    journals.remove(runId, 4)
    expect(readdirSync(directory)).toEqual([])
  })

  it('ends on a full disk, and holds no file open, whether it could begin or not', async () => {
    skipUnless(smallDiskMissing() === undefined, smallDiskMissing() ?? '')
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    const disk = await mountSmallDisk({ bytes: 1024 * 1024, owner })
    const openHere = () =>
      readdirSync('/proc/self/fd').filter((fd) => {
        const place = `/proc/self/fd/${fd}`
        return existsSync(place) && readlinkSync(place).startsWith(disk.directory)
      })
    try {
      const full = createJournals(disk.directory)
      const journal = full.begin({ runId, epoch: 3, work: 'segment', token: 'dG9rZW4=' })
      const [{ file } = { file: '' }] = full.list()
      appendFileSync(file, '\n'.repeat(4096 - (statSync(file).size % 4096)))
      await disk.leaveFree(0)
      expect(() => journal.outcome(outcome)).toThrow(/ENOSPC/)
      journal.interrupted('test')
      journal.returned()
      expect(() => full.begin({ runId, epoch: 4, work: 'segment', token: 'dG9rZW4=' })).toThrow(/ENOSPC/)
      expect(openHere()).toEqual([])
    } finally {
      await disk.remove()
    }
  })

  it('takes no run id that is not one, so that no path leaves its directory', () => {
    expect(() => journals.remove('../../etc')).toThrow(/uuid/i)
  })
})
