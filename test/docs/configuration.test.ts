import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Document, parse } from 'yaml'
import { z } from 'zod'
import { ConfigFile } from '../../src/config/config-schema.ts'
import type { Config } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/load-config.ts'
import { keysNotYet, valuesNotYet } from '../../src/config/not-yet.ts'

const page = await readFile(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8')
const payloadKey = Buffer.alloc(32, 7).toString('base64')
const env = { SHOP_WEBHOOK_SECRET: 'a secret', PAYLOAD_KEY: payloadKey }
const names: Readonly<Record<string, string>> = {
  projects: 'shop',
  environments: 'staging',
  registries: 'main',
  secrets: 'staging_db',
  env: 'MODE',
}
/** Keys that make sense only with another one. */
const together: Readonly<Record<string, [path: string, value: string]>> = {
  'projects.*.api_url': ['projects.*.status_token', '{ from_file: keys/shop }'],
  'registries.*.username': ['registries.*.password', '{ from_file: keys/shop }'],
  'registries.*.password': ['registries.*.username', 'ci'],
}

interface Row {
  /** Keys from the root; `*` stands for a name. */
  path: string[]
  key: string
  /** `none`, `required`, or a value as it is written. */
  fallback: string
  /** `below`: a map with a section of its own. */
  example: string
}

const rows = readRows()
const written = rows.filter(({ example }) => example !== 'below')
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belay-configuration-'))
  await mkdir(join(directory, 'keys'))
  await writeFile(join(directory, 'keys/shop'), 'a secret\n')
  await writeFile(join(directory, 'keys/payload'), `${payloadKey}\n`)
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

it('the whole example is taken as it stands', async () => {
  const config = await take(/```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '')
  expect(config.projects['shop']).toMatchObject({ webhookSecrets: ['a secret'], environments: ['staging', 'production'] })
  expect(Object.keys(config.environments)).toEqual(['staging', 'production'])
})

it('the page has every key of the schema, and no other', () => {
  expect(rows.map(({ key }) => key).toSorted()).toEqual(
    [...keysOf(z.toJSONSchema(ConfigFile, { io: 'input' })).keys()].toSorted(),
  )
})

it('the page says "required" of the keys that are, and of no other', () => {
  const required = [...keysOf(z.toJSONSchema(ConfigFile, { io: 'input' }))].filter(([, isRequired]) => isRequired)
  const said = rows.filter(({ fallback }) => fallback === 'required')
  expect(said.map(({ key }) => key).toSorted()).toEqual(required.map(([key]) => key).toSorted())
})

it('a map whose keys are told below has a section below', () => {
  const below = rows.filter(({ example }) => example === 'below').map(({ path }) => path.join('.'))
  const sections = new Set(rows.map(({ path }) => path.slice(0, -1).join('.')))
  expect(below.filter((path) => ![path, `${path}.*`].some((section) => sections.has(section)))).toEqual([])
})

describe('each key', () => {
  it.each(written)('$key: its example is taken', async ({ path, example }) => {
    await expect(take(minimal(path, example))).resolves.toHaveProperty('projects.shop.repository')
  })

  it.each(written.filter(({ fallback }) => fallback === 'none'))('$key: its example is not the default', async (row) => {
    expect(await take(minimal(row.path, row.example))).not.toEqual(await take(minimal(row.path)))
  })

  it.each(rows.filter(({ fallback }) => fallback !== 'none' && fallback !== 'required'))(
    '$key: its default, written down, changes nothing',
    async ({ path, fallback }) => {
      expect(await take(minimal(path, fallback))).toEqual(await take(minimal(path)))
    },
  )
})

describe('not yet', () => {
  const keys = readNotYet('Keys')
  const values = readNotYet('Values')

  it('the page names what is refused so, and nothing else', () => {
    expect(keys).toEqual(keysNotYet)
    expect(values).toEqual(valuesNotYet)
  })

  it.each(pairsOf(keys))('the key %s.%s is refused', async (place, key) => {
    await expect(take(minimal(pathOf(place, key), 'x'))).rejects.toThrow(/: not yet\n/)
  })

  it.each(pairsOf(values))('%s: %s is refused', async (place, value) => {
    await expect(take(minimal(pathOf(place), value))).rejects.toThrow(/: not yet\n/)
  })
})

function take(text: string): Promise<Config> {
  return parseConfig({ text, file: join(directory, 'belay.config.yml'), env })
}

/** The keys that are required, by the page's own examples, with this one (`value` is YAML) or without it. */
function minimal(path: readonly string[], value?: string): string {
  const document = new Document({})
  const needed = rows.filter((row) => row.fallback === 'required' && row.example !== 'below' && isAlways(row.path, path))
  for (const row of needed) document.setIn(withNames(row.path), document.createNode(parse(row.example)))
  if (value === undefined && document.hasIn(withNames(path))) document.deleteIn(withNames(path))
  if (value !== undefined) document.setIn(withNames(path), document.createNode(parse(value)))
  const [other, its] = together[path.slice(0, 3).join('.')] ?? []
  if (other !== undefined && value !== undefined)
    document.setIn(withNames(other.split('.')), document.createNode(parse(its ?? '')))
  return document.toString()
}

/** One of each named map is there, so that examples may name it; other maps only with a key of theirs. */
function isAlways(required: readonly string[], path: readonly string[]): boolean {
  const map = required.slice(0, -1)
  return map.includes('*') || map.every((part, index) => path[index] === part)
}

function withNames(path: readonly string[]): string[] {
  return path.map((part, index) => (part === '*' ? (names[path[index - 1] ?? ''] ?? part) : part))
}

/** Every key of the schema, and whether it must be there. What only one alternative has is never required. */
function keysOf(schema: unknown, at = '', inChoice = false): Map<string, boolean> {
  const Schema = z.object({
    properties: z.record(z.string(), z.unknown()).default({}),
    required: z.array(z.string()).default([]),
    additionalProperties: z.unknown().optional(),
    anyOf: z.array(z.unknown()).default([]),
  })
  const { properties, required, additionalProperties, anyOf } = Schema.parse(schema)
  const own = Object.entries(properties).flatMap(([name, inner]): [string, boolean][] => {
    const key = at === '' ? name : `${at}.${name}`
    return [[key, !inChoice && required.includes(name)], ...keysOf(inner, key, inChoice)]
  })
  const named = typeof additionalProperties === 'object' ? [...keysOf(additionalProperties, `${at}.*`, inChoice)] : []
  return new Map([...own, ...named, ...anyOf.flatMap((inner) => [...keysOf(inner, at, true)])])
}

/** The rows of all tables whose first column is `key`, with the section they stand in. */
function readRows(): Row[] {
  return page.split(/^## /m).flatMap((section) => {
    const place = placeOf(section.split('\n')[0] ?? '')
    const lines = section.split('\n').filter((line) => line.startsWith('|'))
    if (!/^\| key +\|/.test(lines[0] ?? '')) return []
    return lines.slice(2).map((line): Row => {
      const [, name = '', , fallback = '', example = ''] = line.split('|').map((cell) => cell.trim().replace(/^`|`$/g, ''))
      const path = [...place, name]
      return { path, key: path.join('.'), fallback, example }
    })
  })
}

function placeOf(heading: string): string[] {
  const place = heading.replaceAll('`', '')
  return place.toLowerCase() === 'top level' ? [] : place.split('.').map((part) => (/^[A-Z]+$/.test(part) ? '*' : part))
}

/** `- place: words` below "Keys:" or "Values:" of the section "Not yet". */
function readNotYet(kind: 'Keys' | 'Values'): Record<string, string[]> {
  const [, section = ''] = page.split('\n## Not yet\n')
  const [, list = ''] = section.split(`\n${kind}:\n\n`)
  const lines = list.split('\n\n')[0]?.split('\n') ?? []
  return Object.fromEntries(
    lines.map((line) => {
      const [place = '', words = ''] = line.replace(/^- /, '').split(': ')
      return [placeOf(place).join('.'), [...words.matchAll(/`([^`]+)`/g)].map(([, word]) => word ?? '')]
    }),
  )
}

function pairsOf(table: Readonly<Record<string, readonly string[]>>): [string, string][] {
  return Object.entries(table).flatMap(([place, words]) => words.map((word): [string, string] => [place, word]))
}

function pathOf(place: string, ...rest: string[]): string[] {
  return [...place.split('.').filter((part) => part !== ''), ...rest]
}
