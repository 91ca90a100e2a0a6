import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { listRepositoryFiles } from './repository-files.ts'

const top = join(import.meta.dirname, '../..')
const files = listRepositoryFiles(top).map((path) => ({ path, text: readFileSync(join(top, path), 'utf8') }))
const sources = files.filter(({ path }) => /[.](ts|mjs|js)$/.test(path))

it('there are files to look at', () => {
  expect(sources.length).toBeGreaterThan(50)
})

it('a file over 300 lines says in its first line why', () => {
  const long = sources.filter(({ text }) => text.split('\n').length > 301)
  expect(pathsOf(long.filter(({ text }) => !/^(\/\*\*?|\/\/).*\blong\b.*\bbecause\b/i.test(text)))).toEqual([])
})

it('file names are in kebab case', () => {
  const name = /^[a-z0-9]+(-[a-z0-9]+)*([.](test|contract|config|d))?[.](ts|mjs|js)$/
  expect(pathsOf(sources.filter(({ path }) => !name.test(path.split('/').at(-1) ?? '')))).toEqual([])
})

it('nothing has a default export, but the configuration of a tool that wants one', () => {
  const wanted = ['test/vitest.config.ts']
  const found = pathsOf(sources.filter(({ text }) => /^export default\b|^export \{.*\bas default\b/m.test(text)))
  expect(found).toEqual(wanted)
})

it('imports name the source file', () => {
  const compiled = /^(?:import|export)\b[^'\n]*'\.{1,2}\/[^']*(?<![.](?:ts|json|mjs))'/m
  expect(pathsOf(sources.filter(({ path, text }) => path.endsWith('.ts') && compiled.test(text)))).toEqual([])
})

it('nothing names a directory of the machine it was written on', () => {
  // Put together here, or this file would name them.
  const places = [
    ['', 'work', ''],
    ['', 'root', ''],
    ['..', 'shared'],
  ].map((parts) => parts.join('/'))
  const named = new RegExp(`(^|[\\s"'\`(=])(${places.map((place) => place.replaceAll('.', '[.]')).join('|')})`, 'm')
  expect(pathsOf(files.filter(({ text }) => named.test(text)))).toEqual([])
})

it('the lock file names no registry, and every package has a checksum and its own name', () => {
  const locked = readLock()
  expect(locked.size).toBeGreaterThan(100)
  expect(namesOf(locked, ({ resolved }) => resolved !== undefined)).toEqual([])
  expect(namesOf(locked, ({ integrity }) => !integrity?.startsWith('sha512-'))).toEqual([])
  expect(namesOf(locked, ({ name }) => name !== undefined)).toEqual([])
})

it('the lock file has the parts of every platform, or `npm ci` would refuse it', () => {
  const locked = readLock()
  const missing = [...locked].flatMap(([path, { optionalDependencies }]) =>
    Object.keys(optionalDependencies ?? {}).filter((name) => !isLockedFor(locked, path, name)),
  )
  expect(missing).toEqual([])
})

const LockEntry = z.object({
  name: z.string().optional(),
  resolved: z.string().optional(),
  integrity: z.string().optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
})
type LockEntry = z.infer<typeof LockEntry>

/** What is locked, by its path in the tree. */
type Lock = ReadonlyMap<string, LockEntry>

function readLock(): Lock {
  const { packages } = z.object({ packages: z.record(z.string(), LockEntry) }).parse(JSON.parse(read('package-lock.json')))
  return new Map(Object.entries(packages).filter(([path]) => path !== ''))
}

function namesOf(locked: Lock, isBad: (entry: LockEntry) => boolean): string[] {
  return [...locked].filter(([, entry]) => isBad(entry)).map(([path]) => path)
}

/** Node looks beside the package that asks, then in the directories above. */
function isLockedFor(locked: Lock, path: string, name: string): boolean {
  if (locked.has(`${path}/node_modules/${name}`)) return true
  if (path === '') return locked.has(`node_modules/${name}`)
  return isLockedFor(locked, path.includes('/node_modules/') ? path.slice(0, path.lastIndexOf('/node_modules/')) : '', name)
}

function pathsOf(found: readonly { path: string }[]): string[] {
  return found.map(({ path }) => path)
}

function read(file: string): string {
  return readFileSync(join(top, file), 'utf8')
}
