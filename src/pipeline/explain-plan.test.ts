import { describe, expect, it } from 'vitest'
import { explainPlan } from './explain-plan.ts'
import { compileText, onBranch, whole } from './testing.ts'

describe('the explanation of a plan', () => {
  const explained = explainPlan(compileText(whole))
  const on = ['failed', 'errored', 'timed_out', 'cancelled']

  it('puts the steps that may start together into one wave', () => {
    expect(explained.waves).toEqual([['compile', 'scan'], ['unit'], ['image'], ['candidate'], ['register'], ['production']])
  })
  it('lists what is taken back, the last first', () => {
    expect(explained.undo).toEqual([
      { step: 'production', does: 'production goes back to the newest kept release, verified like a deployment', on },
      { step: 'register', does: 'runs `./unregister.sh` (up to 3 times)', on },
    ])
  })
  it('lists releases as they are written, and the ends on which finally runs', () => {
    expect(explained.releases).toEqual([{ step: 'candidate', from: ['image', 'compile'], version: '1.0 (main)', implied: false }])
    expect(explained.finally).toEqual([{ step: 'tell', on: 'failed, rolled_back' }])
  })
  it('says that the only image is the release where no step says so', () => {
    const text = 'steps: { image: { build_image: { builder: pack, repository: a, files: { a: /a }, entrypoint: [a] } } }'
    expect(explainPlan(compileText(text)).releases).toEqual([{ step: 'image_release', from: ['image'], implied: true }])
  })
  it('leaves skipped steps, and those that need them, out of waves and undo', () => {
    const text = `steps:
  a: { commands: [x] }
  b: { commands: [x], when: { branch: main }, undo: { commands: [y] } }
  c: { commands: [x] }
  d: { needs: [a], commands: [x] }
`
    const { waves, undo, skipped } = explainPlan(compileText(text, onBranch('dev')))
    expect([waves, undo]).toEqual([[['a'], ['d']], []])
    expect(skipped).toEqual([
      { step: 'b', reason: 'when: the branch "dev" is not main' },
      { step: 'c', reason: 'needs b, which is skipped' },
    ])
  })
})
