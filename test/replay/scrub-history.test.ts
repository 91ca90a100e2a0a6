import { expect, it } from 'vitest'
import { findMachine, readableHistory, scrubHistory } from './scrub-history.ts'

const machine = {
  host: 'build.example',
  places: [
    ['/var/tmp/belay-a1', '/tmp/belay'],
    ['/var/tmp/belay-a1/work', '/tmp/belay/elsewhere'],
  ],
} as const

const payload = (value: unknown, encoding = 'json/plain') => ({
  metadata: { encoding: Buffer.from(encoding).toString('base64') },
  data: Buffer.from(JSON.stringify(value)).toString('base64'),
})
const history = (...events: unknown[]): string => JSON.stringify({ events })

it('replaces places in the text of an event and inside payloads, however deep', () => {
  const recorded = history({
    failure: { stackTrace: 'at run (/var/tmp/belay-a1/x.js:1)' },
    input: { payloads: [payload({ files: [{ path: '/var/tmp/belay-a1/y "quoted"' }] })] },
  })
  const scrubbed = scrubHistory(recorded, machine)
  expect(scrubbed).toContain('at run (/tmp/belay/x.js:1)')
  expect(readableHistory(scrubbed)).toContain(String.raw`{"files":[{"path":"/tmp/belay/y \"quoted\""}]}`)
  expect(findMachine(scrubbed, machine)).toEqual([])
})

it('replaces a directory before the one it lies in', () => {
  expect(scrubHistory(history({ a: '/var/tmp/belay-a1/work/x' }), machine)).toContain('"/tmp/belay/elsewhere/x"')
})

it('leaves out who did it, and replaces the worker in the name of a sticky queue', () => {
  const recorded = history({ identity: '12@build.example', taskQueue: { name: '12@build.example-0f', normalName: 'control' } })
  expect(JSON.parse(scrubHistory(recorded, machine))).toEqual({
    events: [{ taskQueue: { name: 'worker@belay-0f', normalName: 'control' } }],
  })
})

it('leaves payloads alone that hold no JSON', () => {
  const recorded = history({ result: payload('/var/tmp/belay-a1', 'binary/plain') })
  expect(JSON.parse(scrubHistory(recorded, machine))).toEqual(JSON.parse(recorded))
})

it('finds what is left of the machine, a host name only as a word of its own', () => {
  const told = history({ result: payload({ at: '/var/tmp/belay-a1/z' }), message: 'no answer from build.example' })
  expect(findMachine(told, machine)).toEqual(['build.example', '/var/tmp/belay-a1'])
  expect(findMachine(history({ message: 'rebuild.examples' }), machine)).toEqual([])
})
