/** Stores the workspace as it is after a step, so that another runner can go on from there. */
import { randomUUID } from 'node:crypto'
import { createReadStream, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Checkpoint } from '../../domain/step.ts'
import { faultPoint } from '../../process/fault-point.ts'
import { retryWhileAway } from '../retry.ts'
import type { SegmentSession } from '../segment-session.ts'
import type { ServerClient } from '../server-client.ts'
import type { WorkspaceDirs } from '../workspace/workspaces.ts'
import { checkpointLimits } from './limits.ts'
import { packCheckpoint, type Packed } from './pack-checkpoint.ts'
import type { Quiet } from './quiet.ts'

export interface KeepCheckpointInput {
  runId: string
  dirs: WorkspaceDirs
  /** Where only we may read. */
  scratch: string
  quiet: Quiet
  session: SegmentSession
  server: Pick<ServerClient, 'putArtifact'>
  /** The steps whose work is in the workspace; asked once nothing runs. */
  steps(): string[]
  signal: AbortSignal
}

export interface KeptCheckpoint extends Packed {
  checkpoint: Checkpoint
}

/** Waits until no other step of the workspace runs, and for the server. Undefined: told to stop before. */
export async function keepCheckpoint(input: KeepCheckpointInput): Promise<KeptCheckpoint | undefined> {
  const { runId, dirs, scratch, quiet, session, server, signal } = input
  mkdirSync(scratch, { recursive: true, mode: 0o700 })
  const file = join(scratch, `checkpoint-${randomUUID()}`)
  try {
    const taken = await quiet.alone(runId, signal, async () => {
      const steps = input.steps()
      return { steps, packed: await packCheckpoint({ dirs, file, limits: checkpointLimits, signal }) }
    })
    if (taken === undefined) return undefined
    const { packed, steps } = taken
    faultPoint('checkpoint.packed')
    const send = async (token: string) => {
      const body = createReadStream(file)
      try {
        await server.putArtifact(token, packed.digest, body, signal)
      } finally {
        // A server that refuses reads it not, or not to its end: what is removed would stay on the disk.
        body.destroy()
      }
    }
    await retryWhileAway(async () => await session.withToken(send), { signal })
    faultPoint('checkpoint.sent')
    return { ...packed, checkpoint: { digest: packed.digest, sizeBytes: packed.sizeBytes, steps } }
  } finally {
    rmSync(file, { force: true })
  }
}
