/** Command lines of the `docker` program, as data. */
import type { PreparedBuild } from '../dockerfile-build.ts'

/** All names that the image gets: its tags, and the one that it is read back by. */
export function imageNames({ host, name, build, uniqueTag }: PreparedBuild): string[] {
  return [uniqueTag, ...build.tags].map((tag) => `${host}/${name}:${tag}`)
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
    ...imageNames(prepared).flatMap((name) => ['--tag', name]),
    ...['--', context],
  ]
}

export function pushArgs(image: string): string[] {
  return ['push', '--', image]
}

export function untagArgs(image: string): string[] {
  return ['image', 'rm', '--no-prune', '--', image]
}
