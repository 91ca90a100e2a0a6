/** The values of a step's own variables; secrets come from the server, for this attempt only, and stay in memory. */
import type { SecretsResponse } from '../contract/runner-api.ts'
import { BelayError } from '../domain/errors.ts'
import type { EnvValue } from '../domain/plan.ts'
import type { RegistryAccess } from '../registry/registry.ts'
import type { LogName } from './spool.ts'
import { retryWhileAway } from './retry.ts'
import type { SegmentSession } from './segment-session.ts'
import type { ServerClient } from './server-client.ts'

export interface ResolvedEnv {
  env: Record<string, string>
  /** The secret ones among them. */
  secrets: Record<string, string>
  /** Where an image is pushed to. */
  registry?: RegistryAccess
}

export interface ResolveEnvInput {
  env: Readonly<Record<string, EnvValue>>
  /** Ask for the step's registry, too. */
  registry?: boolean
  name: Pick<LogName, 'step' | 'attempt' | 'part'>
  session: SegmentSession
  server: Pick<ServerClient, 'fetchSecrets'>
  signal: AbortSignal
}

/** Waits for the server if there is something to ask for; throws `forbidden` or `refused` if it does not give them out. */
export async function resolveEnv(input: ResolveEnvInput): Promise<ResolvedEnv> {
  const names = Object.keys(input.env).filter((name) => 'secret' in (input.env[name] ?? {}))
  const asks = names.length > 0 || input.registry === true
  const { env: given, registry } = asks ? await fetchSecrets(input) : { env: {} }
  const secrets = Object.fromEntries(names.map((name) => [name, requireValue(given, name)]))
  const plain = Object.entries(input.env).flatMap(([name, value]) => ('value' in value ? [[name, value.value] as const] : []))
  const access = input.registry === true && registry !== undefined ? { registry: definedOnly(registry) } : {}
  return { env: { ...Object.fromEntries(plain), ...secrets }, secrets, ...access }
}

function definedOnly({ name, url, username, password }: NonNullable<SecretsResponse['registry']>): RegistryAccess {
  return { name, url, ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

async function fetchSecrets({ name, session, server, signal }: ResolveEnvInput): Promise<SecretsResponse> {
  const { step, attempt, part } = name
  const ask = async (token: string) => await server.fetchSecrets(token, { step, attempt, part }, signal)
  return await retryWhileAway(async () => await session.withToken(ask), { signal })
}

function requireValue(given: Readonly<Record<string, string>>, name: string): string {
  const value = Object.hasOwn(given, name) ? given[name] : undefined
  if (value !== undefined) return value
  throw new BelayError({ code: 'refused', message: `the server did not give out the secret for the variable ${name}` })
}
