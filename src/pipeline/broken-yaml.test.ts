import { describe, expect, it } from 'vitest'
import type { Broken } from './testing.ts'
import { mistakesIn, wordsAbout } from './testing.ts'

const broken: Broken[] = [
  { rule: 'an empty file', text: '', mistakes: ['1:1 yaml'], says: 'needs `steps`' },
  { rule: 'a file of comments', text: '# soon\n', mistakes: ['1:1 yaml'], says: 'needs `steps`' },
  { rule: 'a list instead of a map', text: '- steps\n', mistakes: ['1:1 invalid_value'], says: 'begin with `steps:`' },
  {
    rule: 'a second document',
    text: 'steps: { a: { commands: [x] } }\n---\nsteps: {}\n',
    mistakes: ['2:1 yaml'],
    says: 'one file holds one pipeline',
  },
  {
    rule: 'a tab as indent',
    text: 'steps:\n\ta:\n\t\tcommands: [x]\n',
    mistakes: ['2:1 yaml', '3:1 yaml'],
    says: 'indent with spaces',
  },
  { rule: 'a bracket left open', text: 'steps:\n  a:\n    commands: [x\n', mistakes: ['4:1 yaml'], says: 'not closed' },
  {
    rule: 'an unquoted colon in a value',
    text: 'name: a: b\nsteps: { a: { commands: [x] } }\n',
    mistakes: ['1:7 yaml'],
    says: 'must be quoted',
  },
  {
    rule: '`${` in a flow list',
    text: `steps:\n  image:\n    build_image: { builder: pack, tags: [\${{ sha }}] }\n`,
    mistakes: ['3:43 yaml'],
    says: 'must be quoted: ["${…}"]',
  },
  { rule: 'a leading !', text: 'steps:\n  a:\n    commands: [!x y]\n', mistakes: ['3:16 yaml'], says: 'quote the value' },
  {
    rule: 'a key twice',
    text: 'steps:\n  a: { commands: [x] }\n  a: { commands: [y] }\n',
    mistakes: ['3:3 duplicate_key'],
    says: 'there twice',
  },
  {
    rule: 'a merge key',
    text: 'steps:\n  a: &a { commands: [x] }\n  b: { <<: *a }\n',
    mistakes: ['3:8 yaml'],
    says: 'write the keys out',
  },
  { rule: 'an alias without anchor', text: 'steps:\n  a: { commands: *c }\n', mistakes: ['2:18 yaml'], says: 'no anchor &c' },
  {
    rule: 'the key __proto__',
    text: 'steps:\n  a: { commands: [x], env: { __proto__: y } }\n',
    mistakes: ['2:30 unknown_key'],
    says: '__proto__',
  },
  { rule: 'a map as key', text: 'steps:\n  { a: b }: c\n', mistakes: ['2:3 yaml'], says: 'plain text' },
]

describe('a file that is broken as YAML', () => {
  it.each(broken)('is refused with its places: $rule', ({ text, mistakes, says }) => {
    expect(mistakesIn(text)).toEqual(mistakes)
    expect(wordsAbout(text)).toContain(says)
  })
})
