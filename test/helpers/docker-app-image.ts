/** Images of the sample application in a registry, and what a target leaves of an environment on the engine. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Image } from '../../src/domain/step.ts'
import { createRegistryClient } from '../../src/registry/create-registry-client.ts'
import { baseImages } from './base-images.ts'
import type { RunningRegistry } from './registry.ts'
import { sampleProgram } from './sample-app.ts'

export interface AppImageOptions {
  version: string
  /** Default: `shop/app`. */
  name?: string
  /** A program in the place of the sample application. */
  program?: string
  /** More lines of the Dockerfile. */
  lines?: readonly string[]
}

/** Builds and pushes it, and takes it off the engine again, so that whoever deploys it must pull. */
export async function pushAppImage(registry: RunningRegistry, options: AppImageOptions): Promise<Image> {
  const { version, name = 'shop/app', program = sampleProgram, lines = [] } = options
  const { access, host } = registry
  const tagged = `${host}/${name}:${version}`
  const room = mkdtempSync(join(tmpdir(), 'belay-app-image-'))
  try {
    writeFileSync(join(room, 'app.cjs'), program)
    const dockerfile = [
      `FROM ${baseImages.node}`,
      'ENV HOST=0.0.0.0 FLAVOUR=plain',
      // As it is in any image that people build on.
      'RUN chmod 1777 /tmp',
      'COPY app.cjs /app/app.cjs',
      ...lines,
      'ENTRYPOINT ["node", "/app/app.cjs"]',
      `CMD ["${version}"]`,
    ]
    writeFileSync(join(room, 'Dockerfile'), `${dockerfile.join('\n')}\n`)
    const auth = Buffer.from(`${access.username ?? ''}:${access.password ?? ''}`).toString('base64')
    writeFileSync(join(room, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }), { mode: 0o600 })
    const env = { DOCKER_CONFIG: room, DOCKER_BUILDKIT: '0' }
    await execa('docker', ['build', '--tag', tagged, '--', room], { env })
    await execa('docker', ['push', '--quiet', tagged], { env })
  } finally {
    rmSync(room, { recursive: true, force: true })
  }
  await execa('docker', ['image', 'rm', tagged])
  const client = createRegistryClient(access, { signal: new AbortController().signal, log: () => undefined })
  const found = await client.findManifest(name, version)
  if (found === undefined) throw new Error(`${tagged} is not in the registry`)
  return { repository: `${access.name}/${name}`, digest: found.digest, registry: access.name }
}

/** Removes everything of an environment that is on the engine. */
export async function sweepEnvironment(environment: string): Promise<void> {
  const filter = ['--filter', `label=belay.environment=${environment}`]
  await removeAll(['container', 'ls', '--all', '--quiet', ...filter], ['container', 'rm', '--force', '--volumes'])
  const commands = ['--filter', `label=belay.command=${environment}`]
  await removeAll(['container', 'ls', '--all', '--quiet', ...commands], ['container', 'rm', '--force', '--volumes'])
  await removeAll(['volume', 'ls', '--quiet', ...filter], ['volume', 'rm'])
}

/** Removes all images of a registry from the engine. */
export async function sweepImages({ host }: RunningRegistry): Promise<void> {
  const list = async (...options: string[]): Promise<string[]> =>
    (await execa('docker', ['image', 'ls', ...options])).stdout.split('\n')
  const all = [
    ...(await list('--format', '{{.Repository}}:{{.Tag}}')),
    ...(await list('--digests', '--format', '{{.Repository}}@{{.Digest}}')),
  ]
  const names = all.filter((name) => name.startsWith(`${host}/`) && !name.endsWith('<none>'))
  if (names.length > 0) await execa('docker', ['image', 'rm', '--force', ...names], { reject: false })
}

async function removeAll(list: string[], remove: string[]): Promise<void> {
  const { stdout } = await execa('docker', list)
  const names = stdout.split('\n').filter((name) => name !== '')
  // What goes by itself meanwhile is gone as well.
  if (names.length > 0) await execa('docker', [...remove, ...names], { reject: false })
}
