/** Uploads by the distribution protocol: begun by POST, filled by PATCH, ended by PUT; a cut one is gone on with. */
import { BelayError } from '../domain/errors.ts'
import { Fault } from './fault.ts'
import type { Answer } from './exchange.ts'
import type { PushBlob } from './registry.ts'
import type { RegistrySession } from './registry-session.ts'

/** Where an upload stands, kept over its attempts. */
export interface Upload {
  location?: URL
  /** A body was on its way and broke off: where it ended is not known. */
  broken?: boolean
}

/** One attempt. Goes on where the last one was cut; where the registry has forgotten it, from the beginning. */
export async function uploadBlob(
  session: RegistrySession,
  repository: string,
  { blob, upload }: { blob: PushBlob; upload: Upload },
): Promise<'mounted' | 'uploaded'> {
  let offset = 0
  if (upload.location !== undefined && upload.broken === true) offset = await findEnd(session, upload)
  if (upload.location === undefined) {
    if ((await begin(session, repository, { blob, upload })) === 'mounted') return 'mounted'
    offset = 0
  }
  if (offset < blob.size) await fill(session, { blob, upload, offset })
  await finish(session, { blob, upload })
  return 'uploaded'
}

interface Uploading {
  blob: PushBlob
  upload: Upload
}

async function begin(session: RegistrySession, repository: string, { blob, upload }: Uploading): Promise<'begun' | 'mounted'> {
  const url = session.urlOf(`/v2/${repository}/blobs/uploads/`)
  if (blob.mountFrom !== undefined) {
    url.searchParams.set('mount', blob.digest)
    url.searchParams.set('from', blob.mountFrom)
  }
  const answer = await session.ask({ method: 'POST', url })
  answer.body.destroy()
  if (answer.status === 201) return 'mounted'
  if (answer.status !== 202) throw unexpected('begin an upload', answer)
  upload.location = locationOf(answer, url)
  upload.broken = false
  return 'begun'
}

/** Bytes that the registry has, by `Range: 0-LAST`. */
async function findEnd(session: RegistrySession, upload: Upload): Promise<number> {
  const url = upload.location
  if (url === undefined) return 0
  const answer = await session.ask({ method: 'GET', url })
  answer.body.destroy()
  if (answer.status !== 204 && answer.status !== 202) {
    // Forgotten, or never begun: from the beginning.
    delete upload.location
    return 0
  }
  upload.location = locationOf(answer, url)
  upload.broken = false
  const last = /^(?:bytes=)?0-(\d+)$/.exec(answer.headers.range ?? '')?.[1]
  // An empty upload is told as 0-0 by some, so one byte counts as none; it is sent again, and no offset is trusted for it.
  return last === undefined || last === '0' ? 0 : Number(last) + 1
}

async function fill(session: RegistrySession, { blob, upload, offset }: Uploading & { offset: number }): Promise<void> {
  const url = upload.location
  if (url === undefined) throw new Fault('its upload was lost')
  upload.broken = true
  const answer = await session.ask({
    method: 'PATCH',
    url,
    headers: { 'content-type': 'application/octet-stream', 'content-range': `${String(offset)}-${String(blob.size - 1)}` },
    body: () => ({ bytes: blob.open(offset), size: blob.size - offset }),
  })
  answer.body.destroy()
  if (answer.status !== 202 && answer.status !== 204) {
    // Whatever it holds is not what we think: begun anew.
    delete upload.location
    throw new Fault(`it answered ${String(answer.status)} to a part of an upload`)
  }
  upload.location = locationOf(answer, url)
  upload.broken = false
}

async function finish(session: RegistrySession, { blob, upload }: Uploading): Promise<void> {
  const location = upload.location
  if (location === undefined) throw new Fault('its upload was lost')
  const url = new URL(location)
  url.searchParams.set('digest', blob.digest)
  const answer = await session.ask({ method: 'PUT', url, headers: { 'content-length': '0' } })
  answer.body.destroy()
  if (answer.status === 201) return
  delete upload.location
  if (answer.status === 400) throw new Fault('it did not get the bytes that were sent')
  throw unexpected('end an upload', answer)
}

/** May be relative. */
function locationOf(answer: Answer, asked: URL): URL {
  const { location } = answer.headers
  if (location === undefined) throw new Fault('it said no place for the upload')
  return new URL(location, asked)
}

export function unexpected(what: string, { status }: Answer): BelayError | Fault {
  if (status === 404) return new BelayError({ code: 'not_found', message: `could not ${what}: it answered 404` })
  return new BelayError({ code: 'refused', message: `could not ${what}: the registry answered ${String(status)}` })
}
