import { expect, test } from 'vitest'
import { createEnvProvider } from './env.ts'

const provider = createEnvProvider({ NPM_TOKEN: 'value', EMPTY: '' })

test('gives the variable that the reference names', async () => {
  expect(await provider.resolve({ name: 'NPM_TOKEN' })).toBe('value')
})

test.each(['ABSENT', 'EMPTY'])('refuses a variable that is not there or empty, and says which: %s', async (name) => {
  await expect(provider.resolve({ name })).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining(name) })
})

test('a reference without a name is refused', async () => {
  await expect(provider.resolve({})).rejects.toMatchObject({ code: 'refused' })
})
