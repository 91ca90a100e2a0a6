/** How the far side is broken: the rule of a wire, by the wire it belongs to. */
import type { WireRule } from '../helpers/faulty-wire.ts'
import type { ForgeFault } from '../helpers/forge-double.ts'

/** `name` is how `--faults` and the report call it. */
export type WireBreak =
  | { wire: 'registry' | 'git' | 'hook'; name: string; rule: Pick<WireRule, 'method' | 'path' | 'fault'> }
  | { wire: 'forge'; name: string; answer: ForgeFault }

const anything = { method: '*', path: '/' }

export const wireBreaks: readonly WireBreak[] = [
  { wire: 'registry', name: 'registry refuses', rule: { ...anything, fault: { type: 'reset' } } },
  { wire: 'registry', name: 'registry hangs', rule: { ...anything, fault: { type: 'hang' } } },
  { wire: 'registry', name: 'registry 500', rule: { ...anything, fault: { type: 'status', status: 500 } } },
  { wire: 'registry', name: 'registry 429', rule: { ...anything, fault: { type: 'status', status: 429, retryAfter: '1' } } },
  {
    wire: 'registry',
    name: 'registry cuts uploads',
    rule: { method: 'PATCH', path: '/', fault: { type: 'cut_upload', afterBytes: 50 } },
  },
  {
    wire: 'registry',
    name: 'registry cuts answers',
    rule: { method: 'GET', path: '/blobs/', fault: { type: 'cut_answer', afterBytes: 50 } },
  },
  {
    wire: 'registry',
    name: 'registry gives other bytes',
    rule: { method: 'GET', path: '/blobs/', fault: { type: 'wrong_bytes' } },
  },
  { wire: 'registry', name: 'registry gets other bytes', rule: { method: 'PATCH', path: '/', fault: { type: 'wrong_upload' } } },
  { wire: 'registry', name: 'reply to a push lost', rule: { method: 'PUT', path: '/', fault: { type: 'lost_answer' } } },
  { wire: 'git', name: 'git refuses', rule: { ...anything, fault: { type: 'reset' } } },
  { wire: 'git', name: 'git hangs', rule: { ...anything, fault: { type: 'hang' } } },
  { wire: 'git', name: 'git 500', rule: { ...anything, fault: { type: 'status', status: 500 } } },
  { wire: 'git', name: 'git 429', rule: { ...anything, fault: { type: 'status', status: 429, retryAfter: '1' } } },
  { wire: 'git', name: 'git cuts answers', rule: { ...anything, fault: { type: 'cut_answer', afterBytes: 60 } } },
  { wire: 'git', name: 'git gives other bytes', rule: { method: 'POST', path: '/', fault: { type: 'wrong_bytes' } } },
  { wire: 'hook', name: 'hook refused', rule: { method: 'POST', path: '/hooks/', fault: { type: 'reset' } } },
  { wire: 'hook', name: 'reply to a hook lost', rule: { method: 'POST', path: '/hooks/', fault: { type: 'lost_answer' } } },
  { wire: 'hook', name: 'reply to a person lost', rule: { method: 'POST', path: '/api/', fault: { type: 'lost_answer' } } },
  { wire: 'forge', name: 'forge refuses', answer: 'reset' },
  { wire: 'forge', name: 'forge hangs', answer: 'hang' },
  { wire: 'forge', name: 'forge 500', answer: { status: 500 } },
  { wire: 'forge', name: 'forge 429', answer: { status: 429, headers: { 'retry-after': '1' } } },
]
