/**
 * A recorded history names the machine it was recorded on: in worker identities, sticky queues, paths, stack traces, and
 * inside payloads, which are base64 of JSON. All of it is replaced here, so that the history replays as before.
 */

/** What stands for `pid@host`. */
export const scrubbedIdentity = 'worker@belay'

export interface Machine {
  /** As workers put it into their identities. */
  host: string
  /** Where things lie here, and what stands for it; that must need no escape in JSON. */
  places: readonly (readonly [place: string, by: string])[]
}

/** Who did it and on which build: nothing of it is asked for in a replay, and it makes a third of a history. */
const unneeded = new Set(['identity', 'workerVersion', 'taskId', 'meteringMetadata'])

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** `history` is proto JSON text, as `historyToJSON` makes it; so is what comes back, one event a line. */
export function scrubHistory(history: string, machine: Machine): string {
  const { events } = mapTexts(parseHistory(history), createScrubber(machine))
  return `{"events":[\n${events.map((event) => JSON.stringify(event)).join(',\n')}\n]}\n`
}

/** The same history with payloads as their text, for searching it. */
export function readableHistory(history: string): string {
  return parseHistory(history)
    .events.map((event) => textsOf(event).join('\n'))
    .join('\n')
}

/** What a history still tells about the machine; a scrubber that has missed something must not go unnoticed. */
export function findMachine(history: string, { host, places }: Machine): string[] {
  const readable = readableHistory(history)
  // A short host name may well be part of another word.
  const word = new RegExp(`(?<![A-Za-z0-9])${literally(host)}(?![A-Za-z0-9])`)
  return [...(word.test(readable) ? [host] : []), ...places.map(([place]) => place).filter((place) => readable.includes(place))]
}

interface HistoryJson {
  events: Json[]
}

export function parseHistory(history: string): HistoryJson {
  const parsed = JSON.parse(history) as { events?: Json[] }
  if (!Array.isArray(parsed.events)) throw new Error('a history is an object with `events`')
  return { events: parsed.events }
}

function createScrubber({ host, places }: Machine): (text: string) => string {
  // A directory goes before the one it lies in.
  const ordered = places.toSorted(([a], [b]) => b.length - a.length)
  const identity = new RegExp(`\\d+@${literally(host)}`, 'g')
  return (text) =>
    ordered.reduce((changed, [place, by]) => changed.replaceAll(place, by), text).replaceAll(identity, scrubbedIdentity)
}

function mapTexts(history: HistoryJson, change: (text: string) => string): HistoryJson {
  function mapJson(value: Json): Json {
    if (typeof value === 'string') return change(value)
    if (Array.isArray(value)) return value.map(mapJson)
    if (typeof value !== 'object' || value === null) return value
    const text = payloadText(value)
    const kept = Object.entries(value).filter(([key]) => !unneeded.has(key))
    const entries = kept.map(([key, inner]): [string, Json] =>
      key === 'data' && text !== undefined ? [key, Buffer.from(change(text)).toString('base64')] : [key, mapJson(inner)],
    )
    return Object.fromEntries(entries)
  }
  return { events: history.events.map(mapJson) }
}

function textsOf(value: Json): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsOf)
  if (typeof value !== 'object' || value === null) return []
  const text = payloadText(value)
  return Object.entries(value).flatMap(([key, inner]) => (key === 'data' && text !== undefined ? [text] : textsOf(inner)))
}

/** The JSON text inside a payload; undefined if this is none, or holds something else. */
function payloadText(value: { [key: string]: Json }): string | undefined {
  const { metadata, data } = value
  if (typeof data !== 'string' || typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return undefined
  const encoding = metadata['encoding']
  if (typeof encoding !== 'string') return undefined
  return decode(encoding).startsWith('json/') ? decode(data) : undefined
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8')
}

/** As part of a regular expression. Host names hold nothing else that means something there. */
function literally(host: string): string {
  return host.replaceAll('.', '[.]')
}
