import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mountSmallDisk, smallDiskMissing } from '../../test/helpers/small-disk.ts'
import { skipUnless } from '../../test/helpers/skips.ts'
import { openSyncedLines, parseLines, writeFileDurably } from './durable-file.ts'

describe('durable-file', () => {
  let directory: string
  let file: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'belay-durable-'))
    file = join(directory, 'file')
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('replaces a file whole, leaves no temporary one, and keeps it to its owner', () => {
    writeFileDurably(file, 'one')
    writeFileDurably(file, 'two')
    expect(readFileSync(file, 'utf8')).toBe('two')
    expect(readdirSync(directory)).toEqual(['file'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it('keeps the old content if the new one cannot be written', () => {
    expect(() => writeFileDurably(join(directory, 'absent', 'file'), 'one')).toThrow(/ENOENT/)
  })

  it('keeps the old content on a disk that takes a part of the new one, and the lines before one that did not fit', async () => {
    const missing = smallDiskMissing()
    skipUnless(missing === undefined, missing ?? '')
    const disk = await mountSmallDisk({ bytes: 256 * 1024, owner: { uid: 0, gid: 0 } })
    try {
      const [whole, journal] = [join(disk.directory, 'whole'), join(disk.directory, 'journal')]
      writeFileDurably(whole, JSON.stringify('old'))
      const lines = openSyncedLines(journal)
      lines.append({ n: 1 })
      await disk.leaveFree(12 * 1024)
      expect(() => writeFileDurably(whole, JSON.stringify('x'.repeat(40_000)))).toThrow(/ENOSPC/)
      expect(JSON.parse(readFileSync(whole, 'utf8'))).toBe('old')
      expect(() => lines.append({ n: 2, text: 'x'.repeat(40_000) })).toThrow(/ENOSPC/)
      await disk.leaveFree(100 * 1024)
      lines.append({ n: 3 })
      lines.close()
      expect(parseLines(readFileSync(journal, 'utf8'))).toEqual([{ n: 1 }, { n: 3 }])
      expect(readdirSync(disk.directory).toSorted()).toEqual(['journal', 'whole'])
    } finally {
      await disk.remove()
    }
  })

  it('reads back the lines that were appended, over several openings', () => {
    for (const text of ['one', 'two\nlines']) {
      const lines = openSyncedLines(file)
      lines.append({ text })
      lines.close()
    }
    expect(parseLines(readFileSync(file, 'utf8'))).toEqual([{ text: 'one' }, { text: 'two\nlines' }])
  })

  it('loses only the line that a kill tore', () => {
    const before = openSyncedLines(file)
    before.append({ n: 1 })
    before.close()
    appendFileSync(file, '{"n":')
    const after = openSyncedLines(file)
    after.append({ n: 3 })
    after.close()
    expect(parseLines(readFileSync(file, 'utf8'))).toEqual([{ n: 1 }, { n: 3 }])
  })
})
