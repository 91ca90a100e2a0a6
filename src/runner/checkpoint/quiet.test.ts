import { describe, expect, it } from 'vitest'
import { createQuiet } from './quiet.ts'

const { signal } = new AbortController()
/** Long enough for all that can go on by itself. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('quiet', () => {
  it('works once no other step runs, and holds new ones back meanwhile', async () => {
    const quiet = createQuiet()
    const seen: string[] = []
    await quiet.enter('a', signal)
    await quiet.enter('a', signal)
    let finish: () => void = () => undefined
    const alone = quiet.alone('a', signal, async () => {
      seen.push('begins')
      await new Promise<void>((resolve) => (finish = resolve))
      seen.push('ends')
    })
    const next = quiet.enter('a', signal).then(() => seen.push('next'))
    await quiet.enter('b', signal)
    await turn()
    expect(seen).toEqual([])
    quiet.leave('a')
    await turn()
    expect(seen).toEqual(['begins'])
    finish()
    await Promise.all([alone, next])
    expect(seen).toEqual(['begins', 'ends', 'next'])
  })

  it('two that want to be alone take turns, and do not wait for each other', async () => {
    const quiet = createQuiet()
    let at = 0
    const most: number[] = []
    const one = async () => {
      await quiet.enter('a', signal)
      await quiet.alone('a', signal, async () => {
        most.push((at += 1))
        await turn()
        at -= 1
      })
      quiet.leave('a')
    }
    await Promise.all([one(), one(), one()])
    expect(most).toEqual([1, 1, 1])
    expect(await quiet.enter('a', signal)).toBe(true)
  })

  it('who is told to stop waits no longer, and nothing is held back for it', async () => {
    const quiet = createQuiet()
    const stop = new AbortController()
    await quiet.enter('a', signal)
    await quiet.enter('a', stop.signal)
    const alone = quiet.alone('a', stop.signal, () => Promise.resolve('done'))
    const entering = quiet.enter('a', stop.signal)
    stop.abort()
    expect(await Promise.all([alone, entering])).toEqual([undefined, false])
    expect(await quiet.enter('a', signal)).toBe(true)
  })
})
