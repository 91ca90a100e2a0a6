/** Sources that nobody here wrote, fetched by the registries' own clients, and what those clients need inside of a step. */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa, execaSync } from 'execa'
import { z } from 'zod'
import type { CommittedFile } from './git-repository.ts'

export type Client = 'go' | 'python' | 'npm'

const programs: Readonly<Record<Client, readonly string[][]>> = {
  go: [['go', 'version']],
  python: [
    ['python3', '-m', 'pip', '--version'],
    ['python3', '-c', 'import venv, ensurepip'],
  ],
  npm: [['npm', '--version']],
}

/** Why a client cannot be used; undefined if it can. */
export function clientMissing(client: Client): string | undefined {
  for (const [program = '', ...args] of programs[client]) {
    const { exitCode } = execaSync(program, args, { reject: false, cwd: tmpdir() })
    if (exitCode !== 0) return `\`${[program, ...args].join(' ')}\` does not work on this machine`
  }
  return undefined
}

export interface Source {
  client: Client
  name: string
  version: string
}

/** A directory below `place` with the files of a Go module, a Python source distribution or an npm tarball, writable. */
export async function fetchSource({ client, name, version }: Source, place: string): Promise<string> {
  const cwd = mkdtempSync(join(place, 'fetched-'))
  const source = join(cwd, 'source')
  switch (client) {
    case 'go': {
      const { stdout } = await execa('go', ['mod', 'download', '-json', `${name}@${version}`], { cwd })
      cpSync(z.object({ Dir: z.string() }).parse(JSON.parse(stdout)).Dir, source, { recursive: true })
      break
    }
    case 'python': {
      const options = ['--quiet', '--no-deps', '--no-binary', name, '--dest', cwd]
      await execa('python3', ['-m', 'pip', 'download', ...options, `${name}==${version}`], { cwd })
      await unpack(cwd, source)
      break
    }
    case 'npm':
      await execa('npm', ['pack', '--silent', `${name}@${version}`], { cwd })
      await unpack(cwd, source)
  }
  makeWritable(source)
  return source
}

/** All regular files below a directory, by their paths. */
export function readSource(directory: string): Record<string, CommittedFile> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = entries.map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(paths.map((path) => [path.slice(directory.length + 1), readFileSync(path)]))
}

/**
 * Variables of steps whose HOME is not ours: they name files with this machine's own settings of the clients, laid into
 * the directory, which must be one that steps can read.
 */
export async function laySettings(directory: string): Promise<Record<string, string>> {
  mkdirSync(directory)
  const cache = join(directory, 'go-build')
  mkdirSync(cache)
  const env: Record<string, string> = {}
  for (const client of ['go', 'python', 'npm'] as const) {
    if (clientMissing(client) !== undefined) continue
    const { variable, text } = await settingsOf[client](cache)
    const file = join(directory, `${client}-settings`)
    writeFileSync(file, text)
    env[variable] = file
  }
  // Steps may run as another user.
  chmodSync(directory, 0o755)
  chmodSync(cache, 0o777)
  return { ...env, ...reachSettings() }
}

const settingsOf: Readonly<Record<Client, (cache: string) => Promise<{ variable: string; text: string }>>> = {
  async go(cache) {
    const names = ['GOPROXY', 'GOSUMDB', 'GOPRIVATE', 'GONOPROXY', 'GONOSUMDB', 'GOINSECURE']
    const { stdout } = await execa('go', ['env', '-json', ...names], { cwd: tmpdir() })
    const own = Object.entries(z.record(z.string(), z.string()).parse(JSON.parse(stdout))).filter(([, value]) => value !== '')
    const all = [...own, ['GOTOOLCHAIN', 'local'], ['CGO_ENABLED', '0'], ['GOFLAGS', '-modcacherw'], ['GOCACHE', cache]]
    return { variable: 'GOENV', text: all.map(([name, value]) => `${name ?? ''}=${value ?? ''}\n`).join('') }
  },
  async python() {
    const { stdout } = await execa('python3', ['-m', 'pip', 'config', 'list'], { cwd: tmpdir() })
    const lines = [...stdout.matchAll(/^(?:global|:env:|install)\.([a-z-]+)='(.*)'$/gm)]
    const settings = new Map(lines.map(([, name = '', value = '']) => [name, value]))
    return {
      variable: 'PIP_CONFIG_FILE',
      text: `[global]\n${[...settings].map(([name, value]) => `${name} = ${value}\n`).join('')}`,
    }
  },
  async npm() {
    const names = ['registry', 'cafile', 'strict-ssl']
    const { stdout } = await execa('npm', ['config', 'get', ...names], { cwd: tmpdir() })
    const lines = stdout.split('\n').filter((line) => !/=(?:null|undefined)?$/.test(line))
    return { variable: 'NPM_CONFIG_USERCONFIG', text: `${lines.join('\n')}\nupdate-notifier=false\n` }
  },
}

/** How this machine reaches the network at all. A proxy with a password stays here: a pipeline's variables are no secrets. */
function reachSettings(): Record<string, string> {
  const names = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY']
  const pairs = [...names, ...names.slice(-3).map((name) => name.toLowerCase())].map((name) => [name, process.env[name] ?? ''])
  return Object.fromEntries(pairs.filter(([, value]) => value !== '' && value?.includes('@') === false)) as Record<string, string>
}

async function unpack(directory: string, into: string): Promise<void> {
  const archive = readdirSync(directory).find((name) => /\.(?:tgz|tar\.gz)$/.test(name))
  if (archive === undefined) throw new Error('the client fetched no archive')
  mkdirSync(into)
  await execa('tar', ['-xzf', join(directory, archive), '-C', into, '--strip-components=1', '--no-same-owner'])
}

function makeWritable(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) makeWritable(join(directory, entry.name))
    else if (entry.isFile()) chmodSync(join(directory, entry.name), 0o644)
  }
  chmodSync(directory, 0o755)
}
