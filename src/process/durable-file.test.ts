import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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
