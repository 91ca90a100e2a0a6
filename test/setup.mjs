/**
 * Makes a checkout ready to run: packages installed, sources compiled, workflow bundle built. Says what it did, or that
 * there was nothing to do. Plain JavaScript without packages, because it runs before there are any.
 * usage: node test/setup.mjs [--quiet]     (quiet: only what had to be done, on stderr)
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('..', import.meta.url))
const quiet = process.argv.includes('--quiet')
const sourceRoots = ['src', 'workers', 'test', 'bench', 'examples/demo']

installPackages()
buildSources()

function installPackages() {
  const stamp = join(top, 'node_modules/.belay-setup')
  const wanted = digest(['package-lock.json', 'package.json'])
  if (read(stamp) === wanted) return say('packages: nothing to do')
  if (installedAsLocked()) {
    writeFileSync(stamp, wanted)
    return say('packages: already as package-lock.json says')
  }
  timed('packages: installed by npm ci', () => run('npm', ['ci', '--no-progress']))
  writeFileSync(stamp, wanted)
}

/** Does node_modules hold exactly what the lock file names? True after a developer's own `npm install`, too. */
function installedAsLocked() {
  const hidden = read(join(top, 'node_modules/.package-lock.json'))
  if (hidden === undefined) return false
  const installed = JSON.parse(hidden).packages
  const locked = JSON.parse(readFileSync(join(top, 'package-lock.json'), 'utf8')).packages
  const asLocked = Object.keys(installed).every((path) => installed[path].version === locked[path]?.version)
  const complete = Object.keys(locked).every((path) => path === '' || locked[path].optional === true || path in installed)
  return asLocked && complete
}

function buildSources() {
  const stamp = join(top, 'dist/.belay-build')
  const sources = sourceRoots.flatMap(listSources).sort(byText)
  const wanted = digest(['tsconfig.json', 'package-lock.json', ...sources])
  if (read(stamp) === wanted) return say('build: nothing to do')
  removeOrphans(new Set(sources))
  timed('build: compiled, and the workflow bundle is made', () => run('npm', ['run', '--silent', 'build']))
  writeFileSync(stamp, wanted)
}

function listSources(directory) {
  if (!existsSync(join(top, directory))) return []
  return readdirSync(join(top, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(top, join(entry.parentPath, entry.name)))
}

/** Removes what an earlier build made of a source that is no longer there; an import of it must not go on working. */
function removeOrphans(sources) {
  for (const root of sourceRoots) {
    const directory = join(top, 'dist', root)
    if (!existsSync(directory)) continue
    for (const name of readdirSync(directory, { recursive: true })) {
      const source = join(root, name.replace(/\.js(\.map)?$/, '.ts'))
      if (/\.js(\.map)?$/.test(name) && !sources.has(source)) rmSync(join(directory, name))
    }
  }
}

/** The same order on every machine; the locale has no say. */
function byText(a, b) {
  return a < b ? -1 : 1
}

function run(file, args) {
  // Quiet leaves stdout to the program that runs afterwards.
  const result = spawnSync(file, args, { cwd: top, stdio: ['ignore', quiet ? 2 : 1, 2] })
  if (result.status === 0) return
  const why = result.error?.message ?? result.signal ?? `exit code ${result.status}`
  console.error(`set-up: ${file} ${args.join(' ')} did not succeed: ${why}`)
  process.exit(1)
}

function timed(text, act) {
  const startedAt = performance.now()
  act()
  const line = `set-up: ${text} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`
  if (quiet) console.error(line)
  else console.log(line)
}

function say(text) {
  if (!quiet) console.log(`set-up: ${text}`)
}

function digest(files) {
  const hash = createHash('sha256').update(process.version)
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(top, file)))
  return hash.digest('hex')
}

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}
