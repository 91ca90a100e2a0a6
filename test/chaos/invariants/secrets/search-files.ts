/** Looks through whole files, piece by piece with an overlap, so that nothing hides at a border. */
import { open, type FileHandle } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { findIn, type Needle } from './needles.ts'

const pieceBytes = 8 * 1024 * 1024
const largestUnzipped = 256 * 1024 * 1024

/** Names of what the file holds, compressed by gzip or not; a file that vanishes meanwhile holds nothing. */
export async function searchFile(file: string, needles: readonly Needle[]): Promise<string[]> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file, 'r')
    const found = await searchPieces(handle, needles)
    return [...new Set([...found, ...(await searchUnzipped(handle, needles))])]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  } finally {
    await handle?.close()
  }
}

async function searchPieces(handle: FileHandle, needles: readonly Needle[]): Promise<string[]> {
  const overlap = Math.max(...needles.map(({ bytes }) => bytes.length)) - 1
  const found = new Set<string>()
  let rest: Buffer = Buffer.alloc(0)
  for (let at = 0; ;) {
    const piece = Buffer.alloc(pieceBytes)
    const { bytesRead } = await handle.read(piece, 0, pieceBytes, at)
    if (bytesRead === 0) return [...found]
    at += bytesRead
    const bytes = Buffer.concat([rest, piece.subarray(0, bytesRead)])
    for (const name of findIn(bytes, needles)) found.add(name)
    rest = bytes.subarray(Math.max(0, bytes.length - overlap))
  }
}

async function searchUnzipped(handle: FileHandle, needles: readonly Needle[]): Promise<string[]> {
  const head = Buffer.alloc(3)
  const { bytesRead } = await handle.read(head, 0, 3, 0)
  if (bytesRead < 3 || head[0] !== 0x1f || head[1] !== 0x8b || head[2] !== 8) return []
  const { size } = await handle.stat()
  const whole = Buffer.alloc(size)
  await handle.read(whole, 0, size, 0)
  try {
    return findIn(gunzipSync(whole, { maxOutputLength: largestUnzipped }), needles)
  } catch (error) {
    // A file that only begins like one, or one that was cut.
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) return []
    throw error
  }
}
