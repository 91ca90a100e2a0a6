import { setFlagsFromString } from 'node:v8'
import { setTimeout as sleep } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { limitedSignal } from './limited-signal.ts'

describe('a limited signal', () => {
  it('fires after its time, also when nobody holds anything of it and memory is collected', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const open = new AbortController()
    const names: string[] = []
    for (let count = 0; count < 20; count += 1) listen(limitedSignal(200, open.signal), names)
    for (let count = 0; count < 5; count += 1) {
      collect()
      await sleep(10)
    }
    await sleep(400)
    expect(names).toEqual(Array.from({ length: 20 }, () => 'TimeoutError'))
  })

  it('passes on the abort of the other, with its reason, also one from before', async () => {
    const other = new AbortController()
    const limited = limitedSignal(60_000, other.signal)
    expect(limited.aborted).toBe(false)
    other.abort('gone')
    expect(limited.reason).toBe('gone')
    expect(limitedSignal(60_000, other.signal).reason).toBe('gone')
  })
})

function listen(signal: AbortSignal, names: string[]): void {
  signal.addEventListener('abort', () => names.push((signal.reason as DOMException).name))
}
