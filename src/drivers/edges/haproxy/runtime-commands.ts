/** What is said to HAProxy's runtime socket. Format: "9.3. Unix Socket commands" of its management guide, 2.6. */
import { isIP } from 'node:net'
import { BelayError } from '../../../domain/errors.ts'
import { isSlot } from './slots.ts'

export interface SlotAddress {
  slot: string
  /** An IP address: this HAProxy resolves no names. */
  address: string
  port: number
}

/** One line per slot of the backend `app`. */
export const showSlots = 'show stat app 4 -1'

/** A switch in one line: the new ones take traffic before the old ones are taken off, so there is always somebody. */
export function switchCommand(ready: readonly SlotAddress[], draining: readonly string[]): string {
  return [
    ...ready.flatMap(({ slot, address, port }) => [
      `set server app/${checkSlot(slot)} addr ${checkAddress(address)} port ${checkPort(port)}`,
      `set server app/${slot} state ready`,
    ]),
    ...draining.map((slot) => `set server app/${checkSlot(slot)} state drain`),
  ].join(';')
}

export function checkAddress(address: string): string {
  if (isIP(address) === 0 || address.includes('%')) throw wrong(`${JSON.stringify(address)} is not an IP address`)
  return address
}

export function checkPort(port: number): string {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw wrong(`${String(port)} is not a port`)
  return String(port)
}

function checkSlot(slot: string): string {
  if (!isSlot(slot)) throw wrong(`${JSON.stringify(slot)} is not a slot`)
  return slot
}

function wrong(message: string): BelayError {
  return new BelayError({ code: 'invalid_input', message: `the edge was given what it cannot use: ${message}` })
}
