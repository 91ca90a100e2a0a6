import { describe, expect, it } from 'vitest'
import { createSlots, precedence } from './slots.ts'

const never = new AbortController().signal

describe('slots', () => {
  it('serves undo before segments and segments before openings, each in the order of arrival', async () => {
    const slots = createSlots(1)
    const first = await slots.take(precedence.opening, never)
    const order: string[] = []
    const wait = async (name: string, level: 0 | 1 | 2) => {
      const giveBack = await slots.take(level, never)
      order.push(name)
      giveBack?.()
    }
    const all = [
      wait('opening 1', precedence.opening),
      wait('segment 1', precedence.segment),
      wait('undo', precedence.script),
      wait('opening 2', precedence.opening),
      wait('segment 2', precedence.segment),
    ]
    first?.()
    await Promise.all(all)
    expect(order).toEqual(['undo', 'segment 1', 'segment 2', 'opening 1', 'opening 2'])
  })

  it('never gives out more than there are, and counts what is busy', async () => {
    const slots = createSlots(2)
    const [one, two] = [await slots.take(1, never), await slots.take(1, never)]
    let third = false
    const waiting = slots.take(1, never).then((giveBack) => {
      third = true
      return giveBack
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect([third, slots.busy()]).toEqual([false, 2])
    one?.()
    // Giving back twice is giving back once.
    one?.()
    const giveBack = await waiting
    expect(slots.busy()).toBe(2)
    giveBack?.()
    two?.()
    expect(slots.busy()).toBe(0)
  })

  it('takes back the place of whoever stops waiting', async () => {
    const slots = createSlots(1)
    const held = await slots.take(1, never)
    const controller = new AbortController()
    const impatient = slots.take(0, controller.signal)
    const patient = slots.take(2, never)
    controller.abort()
    expect(await impatient).toBeUndefined()
    held?.()
    expect(await patient).toBeDefined()
  })

  it('tells of a free slot only when nobody waits for it', async () => {
    const slots = createSlots(1)
    expect(await slots.whenFree(never)).toBe(true)
    const held = await slots.take(1, never)
    let isFree = false
    const watching = slots.whenFree(never).then(() => (isFree = true))
    const next = slots.take(1, never)
    held?.()
    const giveBack = await next
    expect(isFree).toBe(false)
    giveBack?.()
    await watching
    const controller = new AbortController()
    await slots.take(1, never)
    const stopped = slots.whenFree(controller.signal)
    controller.abort()
    expect(await stopped).toBe(false)
  })
})
