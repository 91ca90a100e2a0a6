import { expect, it } from 'vitest'
import { BelayError } from '../../src/domain/errors.ts'
import { patient } from './patient.ts'

const away = () => new BelayError({ code: 'unavailable', message: 'the database cannot be used now', retryable: true })

/** Fails so many times, and then answers. */
function portThatFails(times: number, fault: () => Error = away) {
  let asked = 0
  const list = (item: string) => {
    asked += 1
    return asked <= times ? Promise.reject(fault()) : Promise.resolve([item])
  }
  return { runs: { list }, id: 'ours', asked: () => asked }
}

it('asks again while the database is away, in whichever part of the store', async () => {
  const port = portThatFails(2)
  expect(await patient(port).runs.list('a')).toEqual(['a'])
  expect(port.asked()).toBe(3)
})

it('throws what does not pass by itself at once, and the rest when the time is up', async () => {
  const broken = portThatFails(9, () => new BelayError({ code: 'internal', message: 'no' }))
  await expect(patient(broken).runs.list('a')).rejects.toMatchObject({ code: 'internal' })
  expect(broken.asked()).toBe(1)
  await expect(patient(portThatFails(1_000), 300).runs.list('a')).rejects.toMatchObject({ code: 'unavailable' })
})

it('leaves alone what is no promise', () => {
  const port = patient(portThatFails(0))
  expect([port.id, port.asked()]).toEqual(['ours', 0])
})
