/** How an environment's variables get into a container: never by an argument, which every user of the machine may read. */
import { BelayError } from '../../../domain/errors.ts'

export interface ContainerVariables {
  /** For the program's own environment, from which it takes them by name. */
  passed: Record<string, string>
  /** Lines for a file of mode 0600: what the program would take to be about itself. */
  file: string[]
}

/** Of the program itself, of its runtime and loader, and of the proxies and agents it would use. */
const itsOwn = /^(?:PATH|HOME|USER|TMPDIR|HOSTNAME|DOCKER_.*|BUILDKIT_.*|GO[A-Z0-9]*|LD_.*|SSH_.*|XDG_.*|OTEL_.*|.*_PROXY)$/i
const name = /^[A-Za-z_][A-Za-z0-9_]*$/

/** PORT is ours. Throws `refused` for what no way of `docker` can carry. */
export function splitVariables(
  variables: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
): ContainerVariables {
  const result: ContainerVariables = { passed: {}, file: [] }
  for (const [key, value] of Object.entries(variables)) {
    if (key === 'PORT') continue
    if (!name.test(key)) throw refused(`the environment's variable ${JSON.stringify(key)} has a name that no program can read`)
    if (value.includes('\0')) throw refused(`the environment's variable ${key} has a NUL character in its value`)
    if (!itsOwn.test(key) && own[key] === undefined) result.passed[key] = value
    else if (!/[\r\n]/.test(value)) result.file.push(`${key}=${value}`)
    else throw refused(`the environment's variable ${key} has several lines, which \`docker\` cannot pass on under that name`)
  }
  return result
}

function refused(message: string): BelayError {
  return new BelayError({ code: 'refused', message, hint: "Change it under the environment's `env`." })
}
