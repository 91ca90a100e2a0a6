import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import Libsql from 'libsql'
import { afterEach, describe, expect, it } from 'vitest'
import type { Run } from '../../../src/store/store.ts'
import type { TemporalView } from '../temporal-view.ts'
import { noSecretLeaks } from './no-secret-leaks.ts'
import { needlesOf } from './secrets/needles.ts'
import { execution, linesOf, smallWorlds, type SmallWorld } from './testing.ts'

const openWorld = smallWorlds()
const ends: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

describe('the forms of a canary', () => {
  const canary = 'c4n4ry/of "the" proof+?'
  const needles = needlesOf(canary, 'c').map(({ bytes }) => bytes)
  const shows = (text: string) => needles.some((needle) => text.includes(needle.toString()))

  it.each<[string, string]>([
    ['plain', `is ${canary}.`],
    ['base64', Buffer.from(canary).toString('base64')],
    ['base64, one byte in', Buffer.from(`x${canary}y`).toString('base64')],
    ['base64, two bytes in', Buffer.from(`xx${canary}y`).toString('base64')],
    ['base64 for URLs', Buffer.from(`xx${canary}yyy`).toString('base64url')],
    ['URL-encoded', `a=${encodeURIComponent(canary)}`],
    ['as a form', new URLSearchParams({ a: canary }).toString()],
    ['JSON', JSON.stringify({ a: canary })],
    ['JSON in JSON', JSON.stringify({ a: JSON.stringify({ b: canary }) })],
    ['hex', Buffer.from(canary).toString('hex')],
  ])('%s', (_, text) => {
    expect(shows(text)).toBe(true)
  })

  it('are not found where there is none', () => {
    expect(shows('c4n4ry/of *** proof+?')).toBe(false)
    expect(shows(Buffer.from('something else entirely').toString('base64'))).toBe(false)
  })
})

it('nothing to say of a world without a leak; every kind of place is looked at', async () => {
  const { small } = await ended()
  small.world.printed = () => [{ part: 'server-a', text: 'serving' }]
  const finding = await judge(small)
  expect(linesOf(finding.violations)).toEqual([])
  for (const part of ['tables', 'histories', 'files', 'names', 'databases', 'prints', 'command lines'])
    expect(finding.looked[`I7 ${part}`], part).toBeGreaterThan(0)
})

it('what an application was given is where the keeper has it, and that is excepted', async () => {
  const { small, canary } = await ended()
  write(join(small.world.places.keeper, 'env/i1.json'), JSON.stringify({ KEY: canary }))
  expect(linesOf((await judge(small)).violations)).toEqual([])
  write(join(small.world.places.keeper, 'elsewhere.json'), JSON.stringify({ KEY: canary }))
  expect(linesOf((await judge(small)).violations)).toEqual([
    `I7 ${join(small.world.places.keeper, 'elsewhere.json')}: holds canary 1, JSON-escaped`,
  ])
})

describe('says that it lies', () => {
  it.each<[string, string, (canary: string) => string | Buffer]>([
    ['in a log', 'logs/ab/run/build.1.1.step.log', (canary) => `the key is ${canary}\n`],
    ['in base64, in a blob', 'blobs/sha256/ab', (canary) => Buffer.from(`xy${canary}`).toString('base64')],
    ['in a compressed layer', 'images/layer', (canary) => gzipSync(`xy${canary}`)],
    ['in the spool of a runner', 'runner/spool/run/plan/build/1.1.step.open', (canary) => encodeURIComponent(canary)],
    [
      'across the border of two pieces',
      'cache',
      (canary) => Buffer.concat([Buffer.alloc(8 * 1024 * 1024 - 5, 'x'), Buffer.from(canary)]),
    ],
  ])('%s', async (_, place, content) => {
    const { small, canary } = await ended()
    const file = join(small.world.directory, place)
    write(file, content(canary))
    const said = linesOf((await judge(small)).violations)
    expect(said).toHaveLength(1)
    expect(said.join()).toContain(`I7 ${file}: holds canary 1, `)
    expect(said.join()).not.toContain(canary)
  })

  it('in the name of a file', async () => {
    const { small } = await ended()
    const [plain] = (small.world.canaries = ['plain-canary'])
    write(join(small.world.directory, `cache/${String(plain)}`), '')
    expect(linesOf((await judge(small)).violations)).toEqual([expect.stringContaining('holds canary 1, plain')])
  })

  it('in the store, in the text of an event', async () => {
    const { small, run, canary } = await ended()
    await small.tell(run, [{ type: 'waiting', for: canary }])
    const said = linesOf((await judge(small)).violations).join('\n')
    expect(said).toMatch(/I7 the store, table run_events \(\d+ rows\): holds canary 1, JSON-escaped/)
  })

  it('in a database, in a value that is spread over pages', async () => {
    const { small, canary } = await ended()
    const file = join(small.world.directory, 'temporal/temporal.db')
    mkdirSync(dirname(file))
    const database = new Libsql(file)
    database.exec('create table history_node (data blob)')
    // Wherever a page ends, one of them lies across.
    const value = Buffer.from(canary.padEnd(64).repeat(400))
    database.prepare('insert into history_node values (?)').run([value])
    database.close()
    expect(linesOf((await judge(small)).violations).join('\n')).toContain(
      `I7 ${file}, table history_node (1 rows): holds canary 1, plain`,
    )
  })

  it('in a history, in a payload or in a message', async () => {
    const { small, run, canary } = await ended()
    const leak = (events: object[]) => judge(small, { events: [...eventsOf(run), ...events] })
    const payload = {
      activityTaskCompletedEventAttributes: { result: { payloads: [{ data: Buffer.from(JSON.stringify({ canary })) }] } },
    }
    const failure = { activityTaskFailedEventAttributes: { failure: { message: `bad key ${canary}` } } }
    expect(linesOf((await leak([payload])).violations).join()).toMatch(/I7 history of run\/.*: holds canary 1, JSON-escaped/)
    expect(linesOf((await leak([failure])).violations).join()).toMatch(/I7 history of run\/.*: holds canary 1, plain/)
  })

  it('in what a part printed, and on a command line', async () => {
    const { small, canary } = await ended()
    small.world.printed = () => [{ part: 'runner-a', text: `cannot use ${canary}` }]
    const child = spawn(process.execPath, ['-e', `console.log('up'); setInterval(() => {}, 1000)`, canary], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    ends.push(async () => {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    })
    await once(child.stdout, 'data')
    expect(linesOf((await judge(small)).violations)).toEqual([
      'I7 what runner-a printed: holds canary 1, plain',
      `I7 command line of process ${String(child.pid)}: holds canary 1, plain`,
    ])
  })
})

it('a search that sees nothing, or looks for nothing, says so', async () => {
  const { small } = await ended()
  expect(linesOf((await judge(small, { events: [] })).violations)).toEqual([
    'I7 the search of histories: does not even find the id of a run',
  ])
  small.world.canaries = []
  expect(linesOf((await judge(small)).violations)).toEqual(['I7 the canaries: there are none'])
})

async function ended(): Promise<{ small: SmallWorld; run: Run; canary: string }> {
  const small = await openWorld()
  const [run] = await small.deliver()
  const [canary] = small.world.canaries
  if (run === undefined || canary === undefined) throw new Error('no run, or no canary')
  await small.carryOut(run)
  small.executions.push(execution(`run/${run.id}`))
  return { small, run, canary }
}

function eventsOf(run: Pick<Run, 'id'>): object[] {
  return [
    {
      workflowExecutionStartedEventAttributes: { input: { payloads: [{ data: Buffer.from(JSON.stringify({ run: run.id })) }] } },
    },
  ]
}

async function judge(small: SmallWorld, history?: object) {
  const memory = await small.remember()
  const told = history ?? { events: eventsOf(memory.runs[0]?.run ?? { id: '' }) }
  const fetchHistory: TemporalView['fetchHistory'] = () => Promise.resolve(told)
  return noSecretLeaks(memory, { executions: small.executions, fetchHistory })
}

function write(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}
