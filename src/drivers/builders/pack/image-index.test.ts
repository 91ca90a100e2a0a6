import { expect, test } from 'vitest'
import { withImage } from './image-index.ts'

type Index = Parameters<typeof withImage>[0]

const empty: Index = { schemaVersion: 2, manifests: [] }
const image = (digit: string): { mediaType: string; digest: string; size: number } => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: `sha256:${digit.repeat(64)}`,
  size: 1,
})

/** `tag=first digit of the digest`, in order. */
function linesOf(index: Index): string[] {
  return index.manifests.map(({ digest, annotations }) => {
    return `${annotations?.['org.opencontainers.image.ref.name'] ?? ''}=${digest.charAt(7)}`
  })
}

test('names the image once for each tag', () => {
  expect(linesOf(withImage(empty, image('1'), ['v1', 'latest']))).toEqual(['v1=1', 'latest=1'])
})

test('a tag moves to the newest image, and others stay where they are', () => {
  const first = withImage(empty, image('1'), ['v1', 'latest'])
  expect(linesOf(withImage(first, image('2'), ['v2', 'latest']))).toEqual(['v1=1', 'v2=2', 'latest=2'])
})

test('an image that loses its last tag stays, by digest, once', () => {
  const first = withImage(empty, image('1'), ['v1', 'latest'])
  const second = withImage(first, image('2'), ['v1', 'latest'])
  expect(linesOf(second)).toEqual(['=1', 'v1=2', 'latest=2'])
  expect(linesOf(withImage(second, image('1'), ['v3']))).toEqual(['v1=2', 'latest=2', 'v3=1'])
})

test('an image without a tag is listed once, and not at all beside its tag', () => {
  const untagged = withImage(empty, image('1'), [])
  expect(linesOf(withImage(untagged, image('1'), []))).toEqual(['=1'])
  expect(linesOf(withImage(untagged, image('1'), ['v1']))).toEqual(['v1=1'])
})

test('the same once more changes nothing', () => {
  const once = withImage(empty, image('1'), ['v1'])
  expect(withImage(once, image('1'), ['v1'])).toEqual(once)
})

test('keeps what other tools wrote', () => {
  const foreign = { ...image('9'), platform: { os: 'plan9' }, annotations: { note: 'mine' } }
  const index = withImage({ ...empty, annotations: { top: 'kept' }, manifests: [foreign] }, image('1'), ['v1'])
  expect(index).toMatchObject({ annotations: { top: 'kept' }, manifests: [foreign, { digest: image('1').digest }] })
})
