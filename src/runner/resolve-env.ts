/** The values of a step's own variables; secrets come from the server, for this attempt only, and stay in memory. */
import { BelayError } from '../domain/errors.ts'
import type { EnvValue } from '../domain/plan.ts'
import type { LogName } from './spool.ts'
import { retryWhileAway } from './retry.ts'
import type { SegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'

export interface ResolvedEnv {
  env: Record<string, string>
  /** The secret ones among them. */
  secrets: Record<string, string>
}

export interface ResolveEnvInput {
  env: Readonly<Record<string, EnvValue>>
  name: Pick<LogName, 'step' | 'attempt' | 'part'>
  session: SegmentSession
  server: Pick<ServerClient, 'fetchSecrets'>
  signal: AbortSignal
}

/** Waits for the server if there are secrets; throws `forbidden` or `refused` if it does not give them out. */
export async function resolveEnv(input: ResolveEnvInput): Promise<ResolvedEnv> {
  const names = Object.keys(input.env).filter((name) => 'secret' in (input.env[name] ?? {}))
  const given = names.length === 0 ? {} : await fetchSecrets(input)
  const secrets = Object.fromEntries(names.map((name) => [name, requireValue(given, name)]))
  const plain = Object.entries(input.env).flatMap(([name, value]) => ('value' in value ? [[name, value.value] as const] : []))
  return { env: { ...Object.fromEntries(plain), ...secrets }, secrets }
}

async function fetchSecrets({ name, session, server, signal }: ResolveEnvInput): Promise<Record<string, string>> {
  const { step, attempt, part } = name
  const ask = async (token: string) => await server.fetchSecrets(token, { step, attempt, part }, signal)
  return await retryWhileAway(async () => await session.withToken(ask), { signal })
}

function requireValue(given: Readonly<Record<string, string>>, name: string): string {
  const value = Object.hasOwn(given, name) ? given[name] : undefined
  if (value !== undefined) return value
  throw new BelayError({ code: 'refused', message: `the server did not give out the secret for the variable ${name}` })
}
