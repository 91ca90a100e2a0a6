/** One segment's standing with the server: its token, got when first needed and again when it no longer counts. */
import type { SegmentTokenRequest } from '../contract/runner-api.ts'
import { hasCode } from './retry.ts'
import type { ServerClient } from './server-client.ts'

export interface SegmentSession {
  /** Runs a call with the token; asks for a new token once if the server no longer knows this one. */
  withToken<T>(call: (token: string) => Promise<T>): Promise<T>
}

/** A token is not used in its last minute. */
const marginMs = 60_000

export function createSegmentSession(
  server: Pick<ServerClient, 'requestSegmentToken'>,
  request: SegmentTokenRequest,
): SegmentSession {
  let current: { token: string; expiresAt: number } | undefined
  let asking: Promise<string> | undefined
  const ask = async () => {
    current = await server.requestSegmentToken(request)
    return current.token
  }
  const take = () => {
    if (current !== undefined && current.expiresAt - marginMs > Date.now()) return Promise.resolve(current.token)
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }
  return {
    async withToken(call) {
      const token = await take()
      try {
        return await call(token)
      } catch (error) {
        if (!hasCode(error, 'unauthenticated')) throw error
        if (current?.token === token) current = undefined
        return await call(await take())
      }
    },
  }
}
