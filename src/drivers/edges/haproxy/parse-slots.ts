import { BelayError } from '../../../domain/errors.ts'
import { slotNames } from './slots.ts'

/** A slot as HAProxy sees it. Counters begin at its start. */
export interface SlotState {
  slot: string
  /** It takes new requests. */
  active: boolean
  address: string
  port: number
  inFlight: number
  /** Requests that went there for good; one that was tried there and then went elsewhere is not among them. */
  requests: number
  /** Of those: 5xx answers, no answer, or one that broke off. */
  errors: number
}

/**
 * Reads the CSV that `show stat` gives for the servers of `app` (its columns: "9.1. CSV format" of the management guide). Answers
 * of other commands may stand before it. Throws `unavailable` unless exactly our slots are there.
 */
export function parseSlots(answer: string): SlotState[] {
  const lines = answer.slice(Math.max(answer.indexOf('# pxname,'), 0)).split('\n')
  const columns = (lines[0] ?? '').slice(2).split(',')
  const slots = lines
    .slice(1)
    .filter((line) => line.startsWith('app,'))
    .map((line) => parseLine(line.split(','), columns))
  if (slots.map(({ slot }) => slot).join() !== slotNames.join()) {
    throw new BelayError({ code: 'unavailable', message: 'HAProxy gave an answer that is not understood', retryable: true })
  }
  return slots
}

function parseLine(values: readonly string[], columns: readonly string[]): SlotState {
  const text = (column: string): string => values[columns.indexOf(column)] ?? ''
  const number = (column: string): number => Number(text(column)) || 0
  const address = text('addr')
  const colon = address.lastIndexOf(':')
  const inFlight = number('scur') + number('qcur')
  // Each try counts as a session: those that were repeated, here or elsewhere, are taken off again.
  const requests = number('stot') - number('wretr') - number('wredis')
  // An answer that never came on a connection that the client had used before is in no counter of errors, only missing: `req_tot`
  // counts answers. Who leaves while an answer comes is in `cli_abrt` as well, so this can only be too low.
  const missing = requests - inFlight - number('req_tot') - number('cli_abrt')
  return {
    slot: text('svname'),
    active: !/^(?:MAINT|DRAIN)/.test(text('status')),
    address: address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(colon + 1)),
    inFlight,
    requests,
    errors: number('hrsp_5xx') + Math.max(number('econ') + number('eresp'), missing + number('srv_abrt')),
  }
}
