import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { createHub } from './hub.ts'

const never = () => Promise.resolve(false)
const long = 60_000

describe('createHub', () => {
  test('wakes everybody who waits on the topic, and nobody else', async () => {
    const hub = createHub()
    const others = new AbortController()
    let isOtherAwake = false
    const other = hub.wait('b', { timeoutMs: long, signal: others.signal, isReady: never }).then(() => (isOtherAwake = true))
    const both = [1, 2].map(() => hub.wait('a', { timeoutMs: long, isReady: never }))
    hub.notify('a')
    await Promise.all(both)
    expect(isOtherAwake).toBe(false)
    others.abort()
    await other
  })

  test('wakes everybody when nobody knows what happened, and goes on', async () => {
    const hub = createHub()
    const both = ['a', 'b'].map((topic) => hub.wait(topic, { timeoutMs: long, isReady: never }))
    hub.wakeAll()
    await Promise.all(both)
    const later = hub.wait('a', { timeoutMs: long, isReady: never })
    hub.notify('a')
    await expect(later).resolves.toBeUndefined()
  })

  test('misses nothing that happens while it looks', async () => {
    const hub = createHub()
    const waiting = hub.wait('a', {
      timeoutMs: long,
      isReady() {
        hub.notify('a')
        return Promise.resolve(false)
      },
    })
    await expect(waiting).resolves.toBeUndefined()
  })

  test('does not wait for a signal that is aborted already, nor once closed', async () => {
    const hub = createHub()
    await hub.wait('a', { timeoutMs: long, signal: AbortSignal.abort(), isReady: never })
    const waiting = hub.wait('a', { timeoutMs: long, isReady: never })
    hub.close()
    await expect(waiting).resolves.toBeUndefined()
    await expect(hub.wait('a', { timeoutMs: long, isReady: never })).resolves.toBeUndefined()
  })

  test('leaves no listener behind, however the waiting ended', async () => {
    const hub = createHub()
    const { signal } = new AbortController()
    await hub.wait('a', { timeoutMs: 1, signal, isReady: never })
    await hub.wait('a', { timeoutMs: long, signal, isReady: () => Promise.resolve(true) })
    const failing = hub.wait('a', { timeoutMs: long, signal, isReady: () => Promise.reject(new RangeError('no')) })
    await expect(failing).rejects.toThrow(RangeError)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})
