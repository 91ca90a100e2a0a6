import { expect, it } from 'vitest'
import { parseSlots } from './parse-slots.ts'
import { slotNames } from './slots.ts'

const columns =
  'pxname,svname,qcur,scur,stot,econ,eresp,wretr,wredis,status,hrsp_5xx,req_tot,cli_abrt,srv_abrt,addr,something_new'
const line = (slot: string, values = '0,0,0,0,0,0,0,MAINT,0,0,0,0,127.0.0.1:1'): string => `app,${slot},${values},`
const answer = (known: Record<string, string> = {}): string =>
  `\nnothing changed\n\n# ${columns},\n${slotNames.map((slot) => line(slot, known[slot])).join('\n')}\n\n`
const find = (text: string, slot: string) => parseSlots(text).find((state) => state.slot === slot)

it('reads addresses and what is under way, by the names of the columns, behind answers to other commands', () => {
  const text = answer({ blue1: '1,2,9,0,0,0,0,no check,0,7,0,0,[2001:db8::1]:8080' })
  expect(find(text, 'blue1')).toEqual({
    ...{ slot: 'blue1', active: true, address: '2001:db8::1', port: 8080 },
    ...{ inFlight: 3, requests: 9, errors: 0 },
  })
})

it.each(['MAINT', 'DRAIN', 'MAINT (resolution)'])('takes no new requests in the state %s', (status) => {
  expect(find(answer({ blue1: `0,0,0,0,0,0,0,${status},0,0,0,0,127.0.0.1:1` }), 'blue1')?.active).toBe(false)
})

it.each([
  { of: 'tries that were repeated', values: '0,0,27,1,0,20,6,no check,0,0,0,0', requests: 1, errors: 1 },
  { of: 'a 5xx', values: '0,0,3,0,0,0,0,no check,1,3,0,0', requests: 3, errors: 1 },
  { of: 'an answer that broke off', values: '0,0,1,0,1,0,0,no check,0,1,0,1', requests: 1, errors: 1 },
  { of: 'an answer that never came', values: '0,0,1,0,1,0,0,no check,0,0,0,0', requests: 1, errors: 1 },
  { of: 'one that never came on a kept connection', values: '0,0,2,0,0,0,0,no check,0,1,0,0', requests: 2, errors: 1 },
  { of: 'a client that left', values: '0,0,1,0,0,0,0,no check,0,0,1,0', requests: 1, errors: 0 },
  { of: 'a client that left in the middle of an answer', values: '0,0,1,0,0,0,0,no check,0,1,1,0', requests: 1, errors: 0 },
  { of: 'a request under way', values: '0,1,1,0,0,0,0,no check,0,0,0,0', requests: 1, errors: 0 },
])('counts $of', ({ values, requests, errors }) => {
  expect(find(answer({ blue1: `${values},127.0.0.1:1` }), 'blue1')).toMatchObject({ requests, errors })
})

it.each(['', 'Unknown command\n', answer().replace('app,blue2,', 'app,other,')])('does not take it for an answer: %j', (text) => {
  expect(() => parseSlots(text)).toThrow(expect.objectContaining({ code: 'unavailable', retryable: true }) as Error)
})
