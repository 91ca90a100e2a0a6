import { expect, it } from 'vitest'
import { switchCommand } from './runtime-commands.ts'

it('a switch is one line: the new ones get address and traffic, then the old ones are taken off', () => {
  const ready = [
    { slot: 'green1', address: '10.0.0.7', port: 8080 },
    { slot: 'green2', address: '2001:db8::1', port: 65_535 },
  ]
  expect(switchCommand(ready, ['blue1', 'blue16'])).toBe(
    'set server app/green1 addr 10.0.0.7 port 8080;set server app/green1 state ready;' +
      'set server app/green2 addr 2001:db8::1 port 65535;set server app/green2 state ready;' +
      'set server app/blue1 state drain;set server app/blue16 state drain',
  )
})

it('takes traffic off without sending it anywhere', () => {
  expect(switchCommand([], ['blue3'])).toBe('set server app/blue3 state drain')
})

it.each([
  { slot: 'blue17', address: '127.0.0.1', port: 80 },
  { slot: 'blue1;show env', address: '127.0.0.1', port: 80 },
  { slot: 'blue1', address: 'localhost', port: 80 },
  { slot: 'blue1', address: '127.0.0.1 port 1;disable server app/blue1', port: 80 },
  { slot: 'blue1', address: '127.0.0.1\n', port: 80 },
  { slot: 'blue1', address: 'fe80::1%eth0;show env', port: 80 },
  { slot: 'blue1', address: '127.0.0.1', port: 0 },
  { slot: 'blue1', address: '127.0.0.1', port: 65_536 },
  { slot: 'blue1', address: '127.0.0.1', port: 1.5 },
])('lets nothing into a line but slots, addresses and ports: $slot $address $port', (ready) => {
  expect(() => switchCommand([ready], [])).toThrow(expect.objectContaining({ code: 'invalid_input' }) as Error)
})

it('takes nobody off who is no slot', () => {
  expect(() => switchCommand([], ['app'])).toThrow(expect.objectContaining({ code: 'invalid_input' }) as Error)
})
