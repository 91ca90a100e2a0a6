/** A directory for one call of the `docker` program: what may be on disk for as long as that call, and no longer. */
import { existsSync, symlinkSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findIdentity } from '../../../process/identity.ts'
import type { RegistryAccess } from '../../../registry/registry.ts'

/** 0700, and removed whatever happens; what a killed deployer has left is removed at the next call. */
export async function withCallDirectory<T>(directory: string, act: (path: string) => Promise<T>): Promise<T> {
  const calls = join(directory, 'calls')
  await mkdir(calls, { recursive: true, mode: 0o700 })
  for (const left of await readdir(calls)) {
    if (findIdentity(Number(left.split('-')[0])) === undefined) await rm(join(calls, left), { recursive: true, force: true })
  }
  const path = await mkdtemp(join(calls, `${String(process.pid)}-`))
  try {
    return await act(path)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

/** Makes it the program's configuration: the credentials of one registry, beside the contexts of whoever runs the deployer. */
export async function layCredentials(
  path: string,
  { registry, env }: { registry: RegistryAccess; env: Readonly<Record<string, string>> },
): Promise<void> {
  const { url, username = '', password } = registry
  const auth = { auth: Buffer.from(`${username}:${password ?? ''}`).toString('base64') }
  const config = { auths: password === undefined ? {} : { [new URL(url).host]: auth } }
  await writeFile(join(path, 'config.json'), JSON.stringify(config), { mode: 0o600 })
  const own = env['DOCKER_CONFIG'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.docker'))
  if (own !== undefined && existsSync(join(own, 'contexts'))) symlinkSync(join(own, 'contexts'), join(path, 'contexts'))
}
