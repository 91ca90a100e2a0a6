/** Carries what a step declared to the server: by digest, before the step counts as succeeded. */
import type { ReadStream } from 'node:fs'
import { BelayError } from '../domain/errors.ts'
import type { Artifact } from '../domain/step.ts'
import { openInside } from '../process/open-inside.ts'
import { retryWhileAway } from './retry.ts'
import type { SegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'

export interface KeepArtifactsInput {
  /** Where their paths start. */
  checkout: string
  artifacts: readonly Artifact[]
  session: SegmentSession
  server: Pick<ServerClient, 'putArtifact'>
  signal: AbortSignal
}

const atOnce = 4

/** Waits for the server. Throws `refused` if a file is no longer what was hashed. */
export async function keepArtifacts(input: KeepArtifactsInput): Promise<void> {
  const queue = [...new Map(input.artifacts.map((artifact) => [artifact.digest, artifact])).values()]
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await keepOne(input, next)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

async function keepOne(input: KeepArtifactsInput, artifact: Artifact): Promise<void> {
  const { session, server, signal } = input
  const send = async (token: string) => {
    const body = await readArtifact(input.checkout, artifact)
    try {
      await server.putArtifact(token, artifact.digest, body, signal)
    } finally {
      // A server that refuses reads it not, or not to its end: it would hold its file open.
      body.destroy()
    }
  }
  await retryWhileAway(async () => await session.withToken(send), { signal })
}

/** The step may have put something else there since it was hashed. */
async function readArtifact(checkout: string, artifact: Artifact): Promise<ReadStream> {
  const handle = await openInside(checkout, artifact.path).catch((error: unknown) => {
    throw changed(artifact, error)
  })
  if ((await handle.stat()).size === artifact.sizeBytes) return handle.createReadStream()
  await handle.close()
  throw changed(artifact)
}

function changed(artifact: Artifact, cause?: unknown): BelayError {
  return new BelayError({
    code: 'refused',
    message: `the artifact ${artifact.path} changed while it was being kept`,
    hint: 'Nothing may write to it after the step has ended: is a process left in the background?',
    ...(cause === undefined ? {} : { cause }),
  })
}
