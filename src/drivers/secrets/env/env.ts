import { BelayError } from '../../../domain/errors.ts'
import type { SecretProvider } from '../secret-provider.ts'

/** Secrets out of the server's own environment: `{ name: NPM_TOKEN }`. An empty variable counts as not there. */
export function createEnvProvider(environment: Readonly<Record<string, string | undefined>>): SecretProvider {
  return {
    name: 'env',
    resolve(reference) {
      const variable = reference['name'] ?? ''
      const value = environment[variable]
      return value === undefined || value === '' ? Promise.reject(notSet(variable)) : Promise.resolve(value)
    },
  }
}

function notSet(variable: string): BelayError {
  return new BelayError({
    code: 'refused',
    message: `the variable ${variable} is not set in the environment of the server`,
    hint: `Set ${variable} where \`belay up\` or \`belay server\` is started, and start it again.`,
  })
}
