/** Command lines of the `buildah` program, as data. */
import type { PreparedBuild } from '../dockerfile-build.ts'

/** Storage of one build alone, which goes with it. */
export interface BuildahPlaces {
  root: string
  runRoot: string
}

const storage = ({ root, runRoot }: BuildahPlaces): string[] => ['--storage-driver', 'vfs', '--root', root, '--runroot', runRoot]

/** Of this machine's own registries only. */
const tls = ({ registry }: PreparedBuild): string[] => [`--tls-verify=${String(registry.url.startsWith('https:'))}`]

export function buildArgs(places: BuildahPlaces, prepared: PreparedBuild): string[] {
  const { build, context, dockerfile, secretFiles, authFile, uniqueTag } = prepared
  const pairs = (option: string, values: Readonly<Record<string, string>>): string[] =>
    Object.entries(values).flatMap(([key, value]) => [option, `${key}=${value}`])
  return [
    ...storage(places),
    ...['bud', '--isolation', 'chroot', '--format', 'oci', '--authfile', authFile, ...tls(prepared), '--file', dockerfile],
    ...(build.target === undefined ? [] : ['--target', build.target]),
    ...pairs('--build-arg', build.args),
    ...pairs('--label', build.labels),
    ...Object.entries(secretFiles).flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
    ...['--tag', localName(uniqueTag), context],
  ]
}

export function pushArgs(places: BuildahPlaces, prepared: PreparedBuild): string[] {
  const { authFile, host, name, uniqueTag } = prepared
  const to = `docker://${host}/${name}:${uniqueTag}`
  return [...storage(places), 'push', '--authfile', authFile, ...tls(prepared), localName(uniqueTag), to]
}

function localName(uniqueTag: string): string {
  return `localhost/belay:${uniqueTag}`
}
