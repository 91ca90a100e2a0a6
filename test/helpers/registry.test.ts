import { expect, test } from 'vitest'
import { registryMissing, startRegistry } from './registry.ts'
import { skipUnless } from './skips.ts'

test('a registry with credentials answers only those who have them', async () => {
  const missing = registryMissing()
  skipUnless(missing === undefined, missing ?? '')
  const registry = await startRegistry({ auth: { username: 'ci', password: 'a password' } })
  try {
    const authorization = `Basic ${Buffer.from('ci:a password').toString('base64')}`
    expect((await fetch(`${registry.url}/v2/`)).status).toBe(401)
    expect((await fetch(`${registry.url}/v2/`, { headers: { authorization } })).status).toBe(200)
  } finally {
    await registry.stop()
  }
  await expect(fetch(`${registry.url}/v2/`)).rejects.toThrow('fetch failed')
})
