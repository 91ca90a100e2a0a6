/** What one attempt prints: masked, kept, and its end remembered. */
import type { Mask } from './masker.ts'
import type { Spool } from './spool.ts'

export interface StepLog {
  /** Output as it comes. */
  write(chunk: Uint8Array): void
  /** A line of ours, marked as such. */
  note(text: string): void
  /** Nothing more will come; the rest is flushed. Twice: nothing happens. */
  end(): void
  /** The last whole lines, masked, at most 2 KiB; read after `end`. */
  tail(): string
}

const tailBytes = 2048

export function createStepLog(spool: Pick<Spool, 'write' | 'close'>, mask: Mask): StepLog {
  const masker = mask.createMasker()
  let tail: Buffer = Buffer.alloc(0)
  let atLineStart = true
  let ended = false
  const keep = (bytes: Buffer) => {
    if (bytes.length === 0) return
    spool.write(bytes)
    atLineStart = bytes.at(-1) === 0x0a
    const recent = bytes.length > tailBytes ? bytes.subarray(-2 * tailBytes) : Buffer.concat([tail, bytes])
    tail = recent.subarray(-2 * tailBytes)
  }
  const log: StepLog = {
    write(chunk) {
      if (!ended) keep(masker.write(chunk))
    },
    note(text) {
      log.write(Buffer.from(`${atLineStart ? '' : '\n'}[belay] ${text}\n`))
    },
    end() {
      if (ended) return
      keep(masker.end())
      ended = true
      spool.close()
    },
    tail: () => lastLines(tail),
  }
  if (mask.unmaskable.length > 0) log.note(`not masked, because shorter than 4 characters: ${mask.unmaskable.join(', ')}`)
  return log
}

/** Cut at the beginning of a line where there is one, else of a character. */
function lastLines(bytes: Buffer): string {
  if (bytes.length <= tailBytes) return bytes.toString()
  const cut = bytes.subarray(-tailBytes)
  const line = cut.indexOf(0x0a)
  if (line !== -1 && line < cut.length - 1) return cut.subarray(line + 1).toString()
  const character = cut.findIndex((byte) => (byte & 0xc0) !== 0x80)
  return cut.subarray(Math.max(0, character)).toString()
}
