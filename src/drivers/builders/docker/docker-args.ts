/** Command lines of the `docker` program, as data. */
import type { PreparedBuild } from '../dockerfile-build.ts'

/** The one name that the engine knows the image by. */
export function imageName({ host, name, uniqueTag }: PreparedBuild): string {
  return `${host}/${name}:${uniqueTag}`
}

export function buildArgs(prepared: PreparedBuild, { buildx }: { buildx: boolean }): string[] {
  const { build, context, dockerfile, secretFiles } = prepared
  const pairs = (option: string, values: Readonly<Record<string, string>>): string[] =>
    Object.entries(values).flatMap(([key, value]) => [option, `${key}=${value}`])
  return [
    ...(buildx ? ['buildx', 'build', '--progress', 'plain', '--load'] : ['build']),
    ...['--file', dockerfile],
    ...(build.target === undefined ? [] : ['--target', build.target]),
    ...pairs('--build-arg', build.args),
    ...pairs('--label', build.labels),
    ...Object.entries(secretFiles).flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
    ...['--tag', imageName(prepared), '--', context],
  ]
}

export function pushArgs(image: string): string[] {
  return ['push', '--', image]
}

export function untagArgs(image: string): string[] {
  return ['image', 'rm', '--no-prune', '--', image]
}
