import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createFence, type Closing } from './fencing.ts'
import { openStateStore } from './keeper-state.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'belay-fence-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

const answering = (answer: unknown) => (): Promise<Closing> => Promise.resolve(() => answer)
const open = () => createFence('production', openStateStore(directory))

it('refuses a number below the highest it has seen, also after a restart', async () => {
  await open().run({ fence: 5, operationId: 'a' }, answering(1))
  await expect(open().run({ fence: 4, operationId: 'b' }, answering(2))).rejects.toMatchObject({ code: 'stale' })
  await expect(open().run({ fence: 5, operationId: 'c' }, answering(3))).resolves.toBe(3)
  await expect(open().run({ fence: 6, operationId: 'd' }, answering(4))).resolves.toBe(4)
})

it('answers a repeat from its record and does nothing again, also after a restart', async () => {
  let times = 0
  const act = (): Promise<Closing> => {
    times += 1
    return Promise.resolve(() => ({ times }))
  }
  expect(await open().run({ fence: 1, operationId: 'a' }, act)).toEqual({ times: 1 })
  expect(await open().run({ fence: 1, operationId: 'a' }, act)).toEqual({ times: 1 })
  expect(times).toBe(1)
})

it('a repeat of what a newer number has replaced is refused', async () => {
  const fence = open()
  await fence.run({ fence: 1, operationId: 'a' }, answering(1))
  await fence.run({ fence: 2, operationId: 'b' }, answering(2))
  await expect(fence.run({ fence: 1, operationId: 'a' }, answering(1))).rejects.toMatchObject({ code: 'stale' })
})

it('a repeat of what is under way waits for its answer', async () => {
  const fence = open()
  const gate = deferred()
  const first = fence.run({ fence: 1, operationId: 'a' }, async () => {
    await gate.promise
    return () => 'once'
  })
  const second = fence.run({ fence: 1, operationId: 'a' }, answering('twice'))
  gate.resolve()
  expect(await Promise.all([first, second])).toEqual(['once', 'once'])
})

it('writes the number before it acts', async () => {
  const store = openStateStore(directory)
  await createFence('production', store).run({ fence: 9, operationId: 'a' }, () => {
    expect(openStateStore(directory).read('production').fence).toBe(9)
    return Promise.resolve(() => undefined)
  })
  expect.assertions(1)
})

it('a newer number ends the wait of an older operation, and runs after it', async () => {
  const fence = open()
  const order: string[] = []
  const begun = deferred()
  const older = fence.run({ fence: 1, operationId: 'old' }, (signal) => {
    begun.resolve()
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        order.push('old ends')
        reject(signal.reason as Error)
      })
    })
  })
  await begun.promise
  const newer = fence.run({ fence: 2, operationId: 'new' }, () => {
    order.push('new begins')
    return Promise.resolve(() => 'new')
  })
  await expect(older).rejects.toMatchObject({ code: 'stale' })
  await expect(newer).resolves.toBe('new')
  expect(order).toEqual(['old ends', 'new begins'])
})

it('what failed was not done: a repeat does it again', async () => {
  const fence = open()
  await expect(fence.run({ fence: 1, operationId: 'a' }, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expect(fence.run({ fence: 1, operationId: 'a' }, answering('yes'))).resolves.toBe('yes')
})

function deferred() {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}
