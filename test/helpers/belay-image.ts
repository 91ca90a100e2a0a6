import { join } from 'node:path'
import { execa } from 'execa'
import { makeDebianBase } from './debian-base.ts'

const top = join(import.meta.dirname, '../..')
const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']

/**
 * Builds `NAME:image` of the Dockerfile on a base of this machine's packages, by the builder that every engine has; npm's
 * registry is the one that is used here. `undo` takes, before each step, what removes what it makes.
 */
export async function buildBelayImage(name: string, undo: (step: () => Promise<void>) => void): Promise<void> {
  undo(() => removeImages([`${name}:base`]))
  await makeDebianBase(`${name}:base`)
  const registry = await execa('npm', ['config', 'get', 'registry'], { cwd: top })
  const asHere = proxies.filter((variable) => process.env[variable] !== undefined)
  const args = [`BASE=${name}:base`, `NPM_CONFIG_REGISTRY=${registry.stdout.trim()}`, ...asHere]
  const options = ['--network', 'host', '--force-rm', '--tag', `${name}:image`, ...args.flatMap((arg) => ['--build-arg', arg])]
  const built = await execa('docker', ['build', ...options, top], { env: { DOCKER_BUILDKIT: '0' }, all: true, reject: false })
  const layers = [...built.all.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id ?? '')
  undo(() => removeImages([`${name}:image`, ...layers.reverse()]))
  if (built.exitCode !== 0) throw new Error(`the image was not built:\n${built.all.slice(-4_000)}`)
}

/** From the last made to the first; what is already gone went with what was made of it. */
async function removeImages(images: string[]): Promise<void> {
  for (const image of images) await execa('docker', ['image', 'rm', image], { reject: false })
}
