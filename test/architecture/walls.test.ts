import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { findBreaches } from './find-breaches.ts'

const top = join(import.meta.dirname, '../..')
const temporary: string[] = []

afterEach(() => {
  for (const directory of temporary.splice(0)) rmSync(directory, { recursive: true, force: true })
})

describe('import walls', () => {
  it('no room imports what its row in walls.ts does not name', async () => {
    const { modules, breaches } = await findBreaches(top)
    expect(modules).toBeGreaterThan(50)
    expect(breaches.map(({ rule, from, to }) => `${from} → ${to}: ${rule}`)).toEqual([])
  }, 120_000)

  it.each(forbidden())('catches $title', async ({ files, expected }) => {
    const { breaches } = await findBreaches(writeTree(files))
    expect(breaches).toEqual([expected])
  })

  it('catches two modules that need each other, but not when one needs only a type', async () => {
    const circle = (keyword: string) => ({
      'src/store/a.ts': `import { b } from './b.ts'\nexport const a = b\nexport type A = number\n`,
      'src/store/b.ts': `${keyword} { A } from './a.ts'\nexport const b = 1\nexport type B = typeof A\n`,
    })
    const inCode = await findBreaches(writeTree(circle('import')))
    expect(new Set(inCode.breaches.map(({ rule }) => rule))).toEqual(new Set(['no circles']))
    expect((await findBreaches(writeTree(circle('import type')))).breaches).toEqual([])
  })

  it.each(allowed())('lets $title pass', async ({ files }) => {
    const { breaches } = await findBreaches(writeTree(files))
    expect(breaches).toEqual([])
  })
})

interface Case {
  title: string
  files: Record<string, string>
}

function forbidden(): (Case & { expected: { rule: string; from: string; to: string } })[] {
  return [
    breach('a room that is not in the row', 'src/domain/a.ts', 'src/store/b.ts', 'domain may not import this'),
    breach('the same in a type', 'src/domain/a.ts', 'src/store/b.ts', 'domain may not import this', 'import type'),
    breach(
      'code where only types are allowed',
      'src/workflows/a.ts',
      'src/store/b.ts',
      'workflows may import this in types only',
    ),
    breach('a sibling driver', 'src/drivers/forges/a/a.ts', 'src/drivers/forges/b/b.ts', 'drivers may not import this'),
    breach('a driver instead of its port', 'src/runner/a.ts', 'src/drivers/builders/b/b.ts', 'runner may not import this'),
    breach('parts used by a room', 'src/cli/runs.ts', 'src/embedded/b.ts', 'cli may not import this'),
    breach('a test imported by a room', 'src/domain/a.ts', 'test/b.ts', 'nothing that ships imports tests, benches or examples'),
    {
      title: 'code beside an allowed type of the same module',
      files: {
        'src/workflows/a.ts': `import type { B } from '../store/b.ts'\nimport { b } from '../store/b.ts'\nexport const a: B = b\n`,
        'src/store/b.ts': `export type B = number\nexport const b = 1\n`,
      },
      expected: { rule: 'workflows may import this in types only', from: 'src/workflows/a.ts', to: 'src/store/b.ts' },
    },
    {
      title: 'a package of another room',
      files: { 'src/domain/a.ts': `import 'yaml'\n` },
      expected: {
        rule: 'domain may not use this package',
        from: 'src/domain/a.ts',
        to: expect.stringContaining('/yaml/') as string,
      },
    },
    {
      title: 'a type of a package of another room',
      files: { 'src/api/a.ts': `import type { Document } from 'yaml'\nexport type A = Document\n` },
      expected: { rule: 'api may not use this package', from: 'src/api/a.ts', to: expect.stringContaining('/yaml/') as string },
    },
    {
      title: 'a module of Node where there is none',
      files: { 'src/workflows/a.ts': `import 'node:fs'\n` },
      expected: { rule: 'workflows may not use this module of Node', from: 'src/workflows/a.ts', to: 'fs' },
    },
    {
      title: 'an import that leads nowhere',
      files: { 'src/domain/a.ts': `import './gone.ts'\n` },
      expected: { rule: 'every import leads somewhere', from: 'src/domain/a.ts', to: './gone.ts' },
    },
  ]
}

function allowed(): Case[] {
  return [
    { title: 'a type where only types are allowed', files: pair('src/workflows/a.ts', 'src/store/b.ts', 'import type') },
    { title: 'the port of a driver', files: pair('src/drivers/forges/a/a.ts', 'src/drivers/forges/forge.ts') },
    { title: 'a registry that lists its drivers', files: pair('src/drivers/forges/index.ts', 'src/drivers/forges/a/a.ts') },
    { title: 'a command that starts parts', files: pair('src/cli/up.ts', 'workers/control.ts') },
    { title: 'a test that looks behind a wall', files: pair('src/domain/a.test.ts', 'src/store/b.ts') },
    { title: "a room's own package", files: { 'src/domain/a.ts': `import { z } from 'zod'\nexport const a = z.string()\n` } },
  ]
}

function breach(title: string, from: string, to: string, rule: string, keyword?: 'import type') {
  return { title, files: pair(from, to, keyword), expected: { rule, from, to } }
}

function pair(from: string, to: string, keyword: 'import' | 'import type' = 'import'): Record<string, string> {
  const up = '../'.repeat(dirname(from).split('/').length)
  return {
    [from]: `${keyword} { B } from '${up}${to}'\nexport ${keyword === 'import' ? 'const a =' : 'type A ='} B\n`,
    [to]: `export const B = 1\nexport type B = number\n`,
  }
}

function writeTree(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'belay-walls-'))
  temporary.push(directory)
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(directory, dirname(file)), { recursive: true })
    writeFileSync(join(directory, file), text)
  }
  writeFileSync(join(directory, 'package.json'), '{ "type": "module", "dependencies": { "yaml": "*", "zod": "*" } }')
  symlinkSync(join(top, 'node_modules'), join(directory, 'node_modules'))
  return directory
}
