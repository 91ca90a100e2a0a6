/** How the program `docker` finds its engine, its contexts and its credentials. Steps get none of it. */
const engineVariables = ['DOCKER_HOST', 'DOCKER_CONTEXT', 'DOCKER_CONFIG', 'DOCKER_CERT_PATH', 'DOCKER_TLS_VERIFY']

/** As much of an environment as says how an engine is reached. */
export function engineEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  return pickVariables(env, engineVariables)
}

/** These variables, where they are set. */
export function pickVariables(env: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = env[name]
      return value === undefined ? [] : [[name, value] as const]
    }),
  )
}
