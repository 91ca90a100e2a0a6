import { expect, it } from 'vitest'
import { isHost } from './upstream-host.ts'

it.each(['127.0.0.1', '::1', '2001:db8::7', 'localhost', 'app-1.internal', 'a_b.example', 'x'])('is a host: %s', (text) => {
  expect(isHost(text)).toBe(true)
})

it.each([
  '',
  'a b',
  'a;b',
  'a\n',
  '-a',
  'a-',
  'a..b',
  '.a',
  '*',
  'a/b',
  'a:80',
  '[::1]',
  'fe80::1%eth0',
  'x'.repeat(64),
  'ü.example',
])('is none: %j', (text) => {
  expect(isHost(text)).toBe(false)
})
