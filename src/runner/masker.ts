/** Takes secrets out of a stream of bytes, however it is cut into chunks. */
import { createByteMatcher, type ByteMatcher } from './byte-matcher.ts'
import { formsOf, isMaskable } from './secret-forms.ts'

export interface Masker {
  /** The part of what came so far that is safe to show; holds back only what may be the beginning of a secret. */
  write(chunk: Uint8Array): Buffer
  /** What was held back; the stream has ended. */
  end(): Buffer
}

/** Makes maskers, one per stream. */
export interface Mask {
  createMasker(): Masker
  /** A whole text at once. */
  maskText(text: string): string
  /** Names of secrets that are too short to be masked (under 4 bytes): say so where the log is read. */
  readonly unmaskable: string[]
}

const stars = Buffer.from('***')
const nothing = Buffer.alloc(0)

/** `secrets`: values by name. Each is replaced by `***`: plain, in base64, URL-encoded, JSON-escaped, and line by line. */
export function createMask(secrets: Readonly<Record<string, string>>): Mask {
  const patterns = Object.values(secrets).flatMap(formsOf)
  const matcher = patterns.length === 0 ? undefined : createByteMatcher(patterns)
  const createMasker = () => (matcher === undefined ? passOn() : createMatchingMasker(matcher))
  return {
    createMasker,
    maskText(text) {
      const masker = createMasker()
      return Buffer.concat([masker.write(Buffer.from(text)), masker.end()]).toString()
    },
    unmaskable: Object.keys(secrets).filter((name) => secrets[name] !== '' && !isMaskable(secrets[name] ?? '')),
  }
}

function passOn(): Masker {
  return { write: (chunk) => Buffer.from(chunk), end: () => nothing }
}

function createMatchingMasker(matcher: ByteMatcher): Masker {
  let held: Buffer = nothing
  /** So many bytes of `held` belong to a secret whose stars are out already. */
  let coveredLead = 0
  return {
    write(chunk) {
      const bytes = Buffer.concat([held, chunk])
      const scan = findCovered(matcher, bytes, coveredLead)
      const holdFrom = bytes.length - scan.depth
      const shown = render(bytes, scan.covered, holdFrom, coveredLead > 0)
      // The span that reaches over the cut and whose stars are out: now, or before.
      const isOut = ({ start }: Span) => start < holdFrom || (start === 0 && coveredLead > 0)
      const cut = scan.covered.find((span) => isOut(span) && span.end > holdFrom)
      coveredLead = cut === undefined ? 0 : cut.end - holdFrom
      held = bytes.subarray(holdFrom)
      return shown
    },
    end() {
      const scan = findCovered(matcher, held, coveredLead)
      const shown = render(held, scan.covered, held.length, coveredLead > 0)
      held = nothing
      coveredLead = 0
      return shown
    },
  }
}

interface Span {
  start: number
  end: number
}

/** Spans of the bytes that belong to secrets, in order, merged where they overlap; and how many bytes may go on. */
function findCovered(matcher: ByteMatcher, bytes: Buffer, lead: number): { covered: Span[]; depth: number } {
  const covered: Span[] = lead > 0 ? [{ start: 0, end: lead }] : []
  let state = matcher.start
  for (let index = 0; index < bytes.length; index += 1) {
    state = matcher.next(state, bytes[index] ?? 0)
    const length = matcher.matched(state)
    if (length > 0) addSpan(covered, { start: index + 1 - length, end: index + 1 })
  }
  return { covered, depth: matcher.depth(state) }
}

function addSpan(spans: Span[], added: Span): void {
  let start = added.start
  let last = spans.at(-1)
  while (last !== undefined && last.end > start) {
    start = Math.min(start, last.start)
    spans.pop()
    last = spans.at(-1)
  }
  spans.push({ start, end: added.end })
}

/** The bytes before `until`, each span as stars; the first one is left out if its stars were shown before. */
function render(bytes: Buffer, covered: readonly Span[], until: number, firstIsShown: boolean): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (const [index, span] of covered.entries()) {
    if (span.start >= until) break
    parts.push(bytes.subarray(at, span.start))
    if (!(firstIsShown && index === 0)) parts.push(stars)
    at = Math.min(span.end, until)
  }
  parts.push(bytes.subarray(at, until))
  return Buffer.concat(parts)
}
