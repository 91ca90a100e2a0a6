import { createEnvProvider } from './env/env.ts'
import type { SecretProvider } from './secret-provider.ts'

/** All secret providers that Belay knows. A new one is a folder and a line here. */
export const secretProviders = [createEnvProvider(process.env)] as const satisfies readonly SecretProvider[]

export function findSecretProvider(name: string): SecretProvider | undefined {
  return secretProviders.find((provider) => provider.name === name)
}
