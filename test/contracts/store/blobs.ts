import { describe, expect, test } from 'vitest'
import { collect, digestOf, streamOf } from './samples.ts'
import type { OpenStoreUnderTest } from './samples.ts'

export function blobContract(open: OpenStoreUnderTest): void {
  describe('blobs', () => {
    test('come back as they went in, after a restart too', async () => {
      const { store, reopen } = await open()
      const digest = digestOf('hello world')
      expect(await store.blobs.has(digest)).toBe(false)
      expect(await store.blobs.put(digest, streamOf('hello ', 'world'))).toEqual({ created: true, sizeBytes: 11 })
      const { blobs } = await reopen()
      expect(await blobs.has(digest)).toBe(true)
      expect(String(await collect(await blobs.read(digest)))).toBe('hello world')
    })

    test('put again are read to the end and kept once', async () => {
      const { store } = await open()
      const digest = digestOf('x')
      await store.blobs.put(digest, streamOf('x'))
      expect(await store.blobs.put(digest, streamOf('x'))).toEqual({ created: false, sizeBytes: 1 })
      await expect(store.blobs.put(digest, streamOf('y'))).rejects.toMatchObject({ code: 'mismatch' })
      expect(String(await collect(await store.blobs.read(digest)))).toBe('x')
    })

    test('put twice at the same moment are whole', async () => {
      const { store } = await open()
      const digest = digestOf('hello')
      await Promise.all([store.blobs.put(digest, streamOf('hel', 'lo')), store.blobs.put(digest, streamOf('h', 'ello'))])
      expect(String(await collect(await store.blobs.read(digest)))).toBe('hello')
    })

    test('under a wrong digest are refused and leave nothing', async () => {
      const { store } = await open()
      const digest = digestOf('x')
      await expect(store.blobs.put(digest, streamOf('y'))).rejects.toMatchObject({ code: 'mismatch' })
      expect(await store.blobs.has(digest)).toBe(false)
    })

    test('whose sender breaks off leave nothing', async () => {
      const { store } = await open()
      const digest = digestOf('hello')
      await expect(store.blobs.put(digest, breakOff())).rejects.toThrow('cut')
      expect(await store.blobs.has(digest)).toBe(false)
    })

    test('many are asked for at once: those that are there', async () => {
      const { store } = await open()
      const digests = Array.from({ length: 120 }, (_, index) => digestOf(String(index)))
      for (const index of [0, 60, 119]) await store.blobs.put(digestOf(String(index)), streamOf(String(index)))
      expect(await store.blobs.touch(digests)).toEqual(new Set([0, 60, 119].map((index) => digestOf(String(index)))))
      expect(await store.blobs.touch([])).toEqual(new Set())
    })

    test('that were never put are not found; names that are no digest are refused', async () => {
      const { store } = await open()
      await expect(store.blobs.read(digestOf('x'))).rejects.toMatchObject({ code: 'not_found' })
      await expect(store.blobs.has('sha256:../../etc/passwd')).rejects.toMatchObject({ code: 'invalid_input' })
    })
  })
}

async function* breakOff(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('hel')
  await Promise.reject(new Error('cut'))
}
