/** A registry of images: Debian's `docker-registry`, on a free port of this machine, with a directory of its own. */
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { spawnProcess } from '../../src/process/spawn.ts'
import type { RegistryAccess } from '../../src/registry/registry.ts'
import { findQuietPort } from './quiet-port.ts'
import { until } from './until.ts'

export interface RunningRegistry {
  /** `http://127.0.0.1:PORT` */
  url: string
  /** `127.0.0.1:PORT`, as it begins the names of images. */
  host: string
  access: RegistryAccess
  /** What it has logged. */
  log(): string
  stop(): Promise<void>
}

export interface RegistryOptions {
  auth?: { username: string; password: string }
}

/** Why there can be none here; undefined if there can. */
export function registryMissing(): string | undefined {
  if (!existsSync('/usr/bin/docker-registry')) return 'docker-registry is not installed: apt-get install docker-registry'
  return existsSync('/usr/bin/htpasswd') ? undefined : 'htpasswd is not installed: apt-get install apache2-utils'
}

export async function startRegistry({ auth }: RegistryOptions = {}): Promise<RunningRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'belay-registry-'))
  const port = await findQuietPort()
  const host = `127.0.0.1:${String(port)}`
  mkdirSync(join(directory, 'data'))
  if (auth !== undefined) {
    // The password goes by stdin.
    const { stdout } = await execa('htpasswd', ['-niB', auth.username], { input: auth.password })
    writeFileSync(join(directory, 'htpasswd'), `${stdout}\n`, { mode: 0o600 })
  }
  const config = {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: host },
    ...(auth === undefined ? {} : { auth: { htpasswd: { realm: 'belay', path: join(directory, 'htpasswd') } } }),
  }
  const file = join(directory, 'config.yml')
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config))
  const logFile = join(directory, 'log')
  const env = { PATH: process.env['PATH'] ?? '', OTEL_TRACES_EXPORTER: 'none' }
  const args = ['serve', file]
  const child = await spawnProcess({
    file: '/usr/bin/docker-registry',
    args,
    cwd: directory,
    env,
    output: openSync(logFile, 'a'),
  })
  const url = `http://${host}`
  await until('the registry answers', async () => {
    const status = await fetch(`${url}/v2/`).then(
      (response) => response.status,
      () => 0,
    )
    return status === 200 || status === 401
  })
  return {
    ...{ url, host, access: { name: 'main', url, ...auth } },
    log: () => readFileSync(logFile, 'utf8'),
    async stop() {
      await child.stop(2_000)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
