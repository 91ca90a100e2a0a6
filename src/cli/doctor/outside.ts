/** What the configuration names outside of Belay: engines, HAProxy, registries, a database. Each is tried. */
import { messageOf } from '../../domain/errors.ts'
import type { Config } from '../../config/config.ts'
import { findOnPath } from '../../embedded/temporal/find-temporal.ts'
import { runTool } from '../../embedded/temporal/run-tool.ts'
import { answersTcp } from '../../embedded/temporal/temporal-ready.ts'
import { engineEnvironment } from '../../process/engine-environment.ts'
import type { Check, Finding } from './check.ts'

export const checkEngines: Check = async ({ config, io }) => {
  const containers = Object.values(config?.environments ?? {}).filter(({ docker }) => docker !== undefined)
  if (containers.length === 0) return []
  if ((await findOnPath('docker', io.env)) === undefined)
    return [
      {
        name: 'engine',
        state: 'bad',
        detail: 'the program `docker` is not on PATH',
        mend: 'Install Docker (Debian: docker.io).',
      },
    ]
  return await Promise.all(
    containers.map(async ({ name, docker }): Promise<Finding> => {
      const { context, host } = docker?.engine ?? {}
      const where = [...(context === undefined ? [] : ['--context', context]), ...(host === undefined ? [] : ['--host', host])]
      const asked = await runTool('docker', [...where, 'version', '--format', '{{.Server.Version}}'], {
        ...{ env: io.env, also: engineEnvironment(io.env), cwd: '/', timeoutMs: 10_000 },
      }).catch((error: unknown) => ({ exitCode: 1, output: messageOf(error) }))
      const mend = `Start it, or mend \`environments.${name}.engine\`.`
      if (asked.exitCode === 0) return { name: 'engine', state: 'good', detail: `${asked.output.trim()} for environment ${name}` }
      return { name: 'engine', state: 'bad', detail: `none answers for environment ${name}: ${asked.output.trim()}`, mend }
    }),
  )
}

export const checkHaproxy: Check = async ({ config, io }) => {
  const wanted = Object.values(config?.environments ?? {}).filter(({ edge }) => edge.driver === 'haproxy')
  if (wanted.length === 0) return []
  const found = await findOnPath('haproxy', { ...io.env, PATH: `${io.env['PATH'] ?? ''}:/usr/sbin` })
  const names = wanted.map(({ name }) => name).join(', ')
  const mend = 'Install HAProxy (Debian: haproxy); its service need not run.'
  return [{ name: 'haproxy', state: found === undefined ? 'bad' : 'good', detail: `${found ?? 'not found'}, for ${names}`, mend }]
}

export const checkRegistries: Check = async ({ config }) =>
  await Promise.all(
    Object.values(config?.registries ?? {}).map(async ({ name, url }): Promise<Finding> => {
      const mend = `Is \`registries.${name}.url\` right, and the registry up?`
      try {
        const { status } = await fetch(new URL('/v2/', url), { redirect: 'manual', signal: AbortSignal.timeout(10_000) })
        const good = status === 200 || status === 401
        return { name: 'registry', state: good ? 'good' : 'bad', detail: `${name} answers ${String(status)}`, mend }
      } catch (error) {
        return { name: 'registry', state: 'bad', detail: `${name} does not answer: ${messageOf(error)}`, mend }
      }
    }),
  )

export const checkDatabase: Check = async ({ config }) => {
  const address = addressOf(config)
  if (address === undefined) return []
  const there = await answersTcp(address)
  const mend = 'Is `database.url` right, and PostgreSQL up?'
  return [
    { name: 'database', state: there ? 'good' : 'bad', detail: `${address}${there ? '' : ', which does not answer'}`, mend },
  ]
}

/** Without the credentials. */
function addressOf(config: Config | undefined): string | undefined {
  const url = config?.database?.url
  if (url === undefined || !URL.canParse(url)) return undefined
  const { hostname, port } = new URL(url)
  // A socket's directory may stand in the query instead: that is not tried.
  if (hostname === '') return undefined
  return `${hostname}:${port === '' ? '5432' : port}`
}
