/** Images to build on, made of this machine's own programs: none can be pulled where tests run. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { execa, execaSync } from 'execa'
import { acquireHostLock } from '../../src/process/host-lock.ts'
import { until } from './until.ts'

export const baseImages = {
  /** A shell and its tools; users root and app (10001). */
  busybox: 'belay-test/busybox:1',
  /** That, with this machine's Node. */
  node: 'belay-test/node:20',
  /** That, with this machine's Go. */
  go: 'belay-test/golang:1',
} as const

const path = 'ENV PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin'

/** Makes what is not there yet. Two at once: the second one waits. */
export async function ensureBaseImages(): Promise<void> {
  await locked(async () => {
    await ensure(baseImages.busybox, [path, 'CMD ["/bin/sh"]'], layBusybox)
    await ensure(baseImages.node, [path, 'CMD ["node"]'], (root) => {
      layBusybox(root)
      layNode(root)
    })
  })
}

/** The same with Go: 200 MB more. */
export async function ensureGoImage(): Promise<void> {
  const settings = ['ENV CGO_ENABLED=0', 'ENV GOTOOLCHAIN=local', 'ENV GOFLAGS=-buildvcs=false']
  await locked(() =>
    ensure(baseImages.go, [path, ...settings, 'CMD ["/bin/sh"]'], async (root) => {
      layBusybox(root)
      layCertificates(root)
      const { stdout } = await execa('go', ['env', 'GOROOT'])
      cpSync(stdout.trim(), join(root, 'usr/local/go'), {
        recursive: true,
        filter: (source) => !['test', 'doc', 'api'].some((name) => source === join(stdout.trim(), name)),
      })
    }),
  )
}

async function locked(work: () => Promise<void>): Promise<void> {
  const file = join(tmpdir(), 'belay-test-images.lock')
  const lock = await until(
    'nobody else makes base images',
    () => {
      try {
        return acquireHostLock(file, 'the base images')
      } catch {
        // Somebody else is at it.
        return undefined
      }
    },
    120_000,
  )
  try {
    await work()
  } finally {
    lock.release()
  }
}

async function ensure(image: string, changes: string[], lay: (root: string) => void | Promise<void>): Promise<void> {
  const there = await execa('docker', ['image', 'inspect', image], { reject: false })
  if (there.exitCode === 0) return
  const root = mkdtempSync(join(tmpdir(), 'belay-image-'))
  try {
    await lay(root)
    const options = changes.flatMap((change) => ['--change', change])
    const archive = `${root}.tar`
    await execa('tar', ['--owner=0', '--group=0', '--numeric-owner', '-C', root, '-cf', archive, '.'])
    await execa('docker', ['import', ...options, '--', archive, image])
  } finally {
    rmSync(root, { recursive: true, force: true })
    rmSync(`${root}.tar`, { force: true })
  }
}

function layBusybox(root: string): void {
  for (const directory of ['bin', 'etc', 'tmp', 'root', 'usr/bin', 'var/tmp', 'home/app'])
    mkdirSync(join(root, directory), { recursive: true })
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
  for (const applet of [
    'sh',
    'ls',
    'cat',
    'cp',
    'mv',
    'rm',
    'mkdir',
    'chmod',
    'chown',
    'env',
    'echo',
    'grep',
    'sed',
    'sleep',
    'test',
    'true',
    'false',
    'id',
    'tar',
    'wget',
    'find',
    'head',
    'tail',
    'ps',
    'kill',
    'ln',
    'touch',
    'date',
    'wc',
    'sort',
    'uname',
    'dd',
    'yes',
    'expr',
    'printf',
    'dirname',
    'basename',
    'tr',
    'cut',
    'xargs',
    'od',
    'sha256sum',
  ]) {
    symlinkSync('busybox', join(root, 'bin', applet))
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:10001:10001:app:/home/app:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\napp:x:10001:\n')
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
}

function layNode(root: string): void {
  const node = realpathSync(process.execPath)
  place(root, node, 'usr/bin/node')
  for (const library of librariesOf(node)) place(root, library, library.slice(1))
  for (const name of ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']) {
    const found = ['/lib/x86_64-linux-gnu', '/lib/aarch64-linux-gnu'].map((at) => join(at, name)).find((file) => existsSync(file))
    if (found !== undefined) place(root, found, found.slice(1))
  }
  layCertificates(root)
  const npm = join(dirname(dirname(node)), 'lib/node_modules/npm')
  if (!existsSync(npm)) return
  cpSync(npm, join(root, 'usr/lib/node_modules/npm'), { recursive: true })
  for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/bin', name))
  symlinkSync('/bin/env', join(root, 'usr/bin/env'))
}

function layCertificates(root: string): void {
  const certificates = '/etc/ssl/certs/ca-certificates.crt'
  if (existsSync(certificates)) place(root, certificates, `etc/ssl/certs/${basename(certificates)}`)
}

function librariesOf(program: string): string[] {
  const { stdout } = execaSync('ldd', [program])
  return stdout.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}

function place(root: string, from: string, to: string): void {
  mkdirSync(dirname(join(root, to)), { recursive: true })
  copyFileSync(realpathSync(from), join(root, to))
}
