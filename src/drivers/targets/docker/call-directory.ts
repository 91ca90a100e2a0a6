/** A directory for one call of the `docker` program: what may be on disk for as long as that call, and no longer. */
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { findIdentity } from '../../../process/identity.ts'
import type { RegistryAccess } from '../../../registry/registry.ts'

/** 0700, and removed whatever happens; what a killed deployer has left is removed at the next call. */
export async function withCallDirectory<T>(directory: string, act: (path: string) => Promise<T>): Promise<T> {
  const calls = join(directory, 'calls')
  await mkdir(calls, { recursive: true, mode: 0o700 })
  for (const left of await readdir(calls)) {
    const owner = ownersPart(Number(left.split('-')[0]))
    if (owner === undefined || !left.startsWith(owner)) await rm(join(calls, left), { recursive: true, force: true })
  }
  const path = await mkdtemp(join(calls, ownersPart(process.pid) ?? `${String(process.pid)}-`))
  try {
    return await act(path)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

/** How the names of a live process begin. With its start time, as in a container the next deployer has the same pid. */
function ownersPart(pid: number): string | undefined {
  const identity = findIdentity(pid)
  return identity && `${String(pid)}-${identity.startTime.replaceAll(/[^A-Za-z0-9]/g, '_')}-`
}

/** Makes it the program's configuration: the credentials of one registry, beside the contexts of whoever runs the deployer. */
export async function layCredentials(
  path: string,
  { registry, env }: { registry: RegistryAccess; env: Readonly<Record<string, string>> },
): Promise<void> {
  const { url, username = '', password } = registry
  const own = env['DOCKER_CONFIG'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.docker'))
  const auth = { auth: Buffer.from(`${username}:${password ?? ''}`).toString('base64') }
  // The context too, or this call would be of another engine than all others.
  const config = { ...findContext(own), auths: password === undefined ? {} : { [new URL(url).host]: auth } }
  await writeFile(join(path, 'config.json'), JSON.stringify(config), { mode: 0o600 })
  if (own !== undefined && existsSync(join(own, 'contexts'))) symlinkSync(join(own, 'contexts'), join(path, 'contexts'))
}

const DockerConfig = z.object({ currentContext: z.string().optional() })

/** As `docker context use` writes it down. */
function findContext(own: string | undefined): z.infer<typeof DockerConfig> {
  try {
    return DockerConfig.parse(JSON.parse(readFileSync(join(own ?? '', 'config.json'), 'utf8')))
  } catch {
    // No file, or one that the program passes over as well: then it has no context.
    return {}
  }
}
