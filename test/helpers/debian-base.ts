/** A Debian image to build on, made of the packages of this machine: none can be pulled where tests run. */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa, execaSync } from 'execa'

/** Beside what Debian calls essential: what Belay's image needs, and what makes users. */
const wanted = ['ca-certificates', 'git', 'passwd', 'tini']
const certificates = '/etc/ssl/certs/ca-certificates.crt'
/** Nothing that runs in the image reads these. */
const leftOut = /^\/usr\/share\/(?:doc|man|info|locale|lintian|bug|zoneinfo|gitweb|icons)\/|^\/(?:boot|dev|proc|sys|tmp)(?:\/|$)/

/** Why there can be none here; undefined if there can. */
export function debianMissing(): string | undefined {
  if (process.platform !== 'linux' || !existsSync('/usr/bin/dpkg-query')) return 'this machine is not a Debian'
  const status = execaSync('dpkg-query', ['--show', '--showformat=${Package} ${db:Status-Status}\n', ...wanted], {
    reject: false,
  })
  const missing = wanted.filter((name) => !status.stdout.includes(`${name} installed`))
  return missing.length === 0 ? undefined : `not installed: apt-get install ${missing.join(' ')}`
}

/**
 * Imports the essential packages, those above and all that they depend on, as dpkg has them, with Node and npm, under this
 * name. The same certificates as here, so the same registries are trusted.
 */
export async function makeDebianBase(name: string): Promise<void> {
  const room = mkdtempSync(join(tmpdir(), 'belay-debian-'))
  try {
    const root = join(room, 'root')
    mkdirSync(root)
    layDirectories(root)
    await layPackages(root, join(room, 'files'))
    layNode(root)
    const changes = [
      'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      `ENV NODE_EXTRA_CA_CERTS=${certificates}`,
    ]
    const archive = join(room, 'root.tar')
    await execa('tar', ['--numeric-owner', '-C', root, '-cf', archive, '.'])
    await execa('docker', ['import', ...changes.flatMap((change) => ['--change', change]), '--', archive, name])
  } finally {
    rmSync(room, { recursive: true, force: true })
  }
}

/** Merged as Debian merges them, where this machine's are. */
function layDirectories(root: string): void {
  for (const directory of ['dev', 'proc', 'sys', 'run', 'root', 'usr', 'var/tmp', 'etc/ssl/certs'])
    mkdirSync(join(root, directory), { recursive: true })
  mkdirSync(join(root, 'tmp'))
  execaSync('chmod', ['1777', join(root, 'tmp'), join(root, 'var/tmp')])
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    if (!existsSync(`/${name}`)) continue
    mkdirSync(join(root, 'usr', name), { recursive: true })
    if (lstatSync(`/${name}`).isSymbolicLink()) symlinkSync(`usr/${name}`, join(root, name))
  }
}

async function layPackages(root: string, list: string): Promise<void> {
  const { stdout } = await execa('dpkg', ['--listfiles', ...closure()])
  const files = stdout.split('\n').filter((path) => path.startsWith('/') && path !== '/.' && !leftOut.test(path) && isThere(path))
  writeFileSync(list, [...new Set(files)].map((path) => path.slice(1)).join('\n'))
  const packed = execa('tar', ['-C', '/', '--no-recursion', '-T', list, '-cf', '-'], { encoding: 'buffer', buffer: false })
  await packed.pipe('tar', ['-C', root, '--keep-directory-symlink', '-xf', '-'])
  layAlternatives(root)
  for (const name of ['passwd', 'group']) cpSync(`/usr/share/base-passwd/${name}.master`, join(root, 'etc', name))
  cpSync(certificates, join(root, certificates), { dereference: true })
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n')
  execaSync('ldconfig', ['-r', root])
}

/** Names that no package holds, as `awk`: links to whichever of several programs was chosen. */
function layAlternatives(root: string): void {
  const { stdout } = execaSync('find', ['/usr/bin', '/usr/sbin', '-lname', '/etc/alternatives/*'])
  for (const link of stdout.split('\n').filter((path) => path !== '' && existsSync(path))) {
    const program = realpathSync(link)
    if (isThere(join(root, program)) && !isThere(join(root, link))) symlinkSync(program, join(root, link))
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Names of the packages, by what dpkg knows of those that are installed. */
function closure(): string[] {
  const format = '${Package}\t${Architecture}\t${Essential}\t${Pre-Depends}, ${Depends}\t${Provides}\t${db:Status-Status}\n'
  const installed = new Map<string, { essential: boolean; needs: string[] }>()
  const providers = new Map<string, string>()
  for (const line of execaSync('dpkg-query', ['--show', `--showformat=${format}`]).stdout.split('\n')) {
    const [name = '', , essential, depends = '', provides = '', status] = line.split('\t')
    if (status !== 'installed') continue
    installed.set(name, { essential: essential === 'yes', needs: namesIn(depends) })
    for (const provided of namesIn(provides)) providers.set(provided, name)
  }
  const taken = new Set<string>()
  const open = [...wanted, ...[...installed].filter(([, { essential }]) => essential).map(([name]) => name)]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const name = installed.has(next) ? next : providers.get(next)
    // One of several that would do, or not needed once it is installed.
    if (name === undefined || taken.has(name)) continue
    taken.add(name)
    open.push(...(installed.get(name)?.needs ?? []))
  }
  return [...taken]
}

/** `a (>= 1), b:any | c` → a, b, c. */
function namesIn(relation: string): string[] {
  return relation.split(/[,|]/).flatMap((part) => /^\s*([a-z0-9][a-z0-9+.-]*)/.exec(part)?.[1] ?? [])
}

/** Node may come from anywhere. */
function layNode(root: string): void {
  const node = realpathSync(process.execPath)
  const modules = join(root, 'usr/local/lib/node_modules')
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true })
  mkdirSync(modules, { recursive: true })
  cpSync(node, join(root, 'usr/local/bin/node'))
  for (const library of librariesOf(node)) {
    const place = join(root, realpathSync(dirname(library)), library.slice(dirname(library).length))
    mkdirSync(dirname(place), { recursive: true })
    if (!existsSync(place)) cpSync(realpathSync(library), place)
  }
  cpSync(join(dirname(dirname(node)), 'lib/node_modules/npm'), join(modules, 'npm'), { recursive: true })
  for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/local/bin', name))
  if (!/^ID=debian$/m.test(readFileSync(join(root, 'etc/os-release'), 'utf8'))) throw new Error('the base is not a Debian')
}

function librariesOf(program: string): string[] {
  const { stdout } = execaSync('ldd', [program])
  return stdout.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}
