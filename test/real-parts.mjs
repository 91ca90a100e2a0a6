/**
 * The real parts that tests need beside npm packages: Debian's packages, and a container engine that lives as long as the
 * tests. As root on Debian they are installed and started, and said so; elsewhere one line says how to have them, and
 * the tests that need them are skipped with that reason. BELAY_TEST_INSTALL=0 prevents both. Plain JavaScript, as run.mjs.
 */
import { spawn, spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Debian's package → how to see that it is there. */
const packages = {
  'apache2-utils': () => isOnPath('htpasswd'),
  buildah: () => isOnPath('buildah'),
  'busybox-static': () => existsSync('/bin/busybox') && isStatic('/bin/busybox'),
  'ca-certificates': () => existsSync('/etc/ssl/certs/ca-certificates.crt'),
  'docker-compose': () => isOnPath('docker-compose'),
  'docker-registry': () => isOnPath('docker-registry'),
  'docker.io': () => isOnPath('docker') && isOnPath('dockerd'),
  git: () => isOnPath('git'),
  haproxy: () => existsSync('/usr/sbin/haproxy') || isOnPath('haproxy'),
  iptables: () => isOnPath('iptables'),
  passwd: () => existsSync('/usr/sbin/useradd'),
  postgresql: () => existsSync('/usr/lib/postgresql') && readdirSync('/usr/lib/postgresql').length > 0,
  skopeo: () => isOnPath('skopeo'),
  tini: () => isOnPath('tini'),
}

/**
 * Installs what is missing and starts an engine if none answers. Gives what tests need in their environment, and the way to stop it.
 * Aborted: takes back at once what it has done so far, and gives nothing.
 */
export async function ensureRealParts({ signal = new AbortController().signal, policy = '/usr/sbin/policy-rc.d' } = {}) {
  const missing = Object.keys(packages).filter((name) => !packages[name]())
  const mayInstall = process.env.BELAY_TEST_INSTALL !== '0' && isRootOnDebian()
  if (mayInstall) allowServices(policy)
  if (missing.length > 0) {
    if (mayInstall) await installPackages(missing, { signal, policy })
    else
      console.log(
        `test: missing, so some tests are skipped. To have all of it on Debian: sudo apt-get install -y ${missing.join(' ')}`,
      )
  }
  const nothing = { env: {}, stop: () => Promise.resolve() }
  if (signal.aborted || engineAnswers(process.env)) return nothing
  if (mayInstall && packages['docker.io']()) return (await startEngine(signal)) ?? nothing
  console.log('test: no container engine answers; start one, or run as root on Debian')
  return nothing
}

function isRootOnDebian() {
  return existsSync('/etc/debian_version') && isOnPath('apt-get') && process.getuid?.() === 0
}

async function installPackages(names, { signal, policy }) {
  console.log(
    `test: installing with apt-get: ${names.join(' ')} (BELAY_TEST_INSTALL=0 leaves them out); none of their services is started`,
  )
  forbidServices(policy)
  try {
    const install = ['install', '--yes', '--quiet=2', '--no-install-recommends', ...names]
    // Lists that are already there save the slow update; a fresh machine has none.
    const isDone = (await apt(install, signal)) || ((await apt(['update', '--quiet=2'], signal)) && (await apt(install, signal)))
    if (!isDone && !signal.aborted) console.log('test: apt-get could not install all of them')
  } finally {
    allowServices(policy)
  }
}

const ours = "# Made by Belay's tests, for as long as they install packages."

/** Debian asks this file before a package starts its service; 101 is "no". */
function forbidServices(policy) {
  if (!existsSync(policy)) writeFileSync(policy, `#!/bin/sh\n${ours}\nexit 101\n`, { mode: 0o755 })
}

/** Removes that file if it is ours: also what a run that was killed has left. */
function allowServices(policy) {
  if (existsSync(policy) && readFileSync(policy, 'utf8').includes(ours)) rmSync(policy, { force: true })
}

async function apt(args, signal) {
  if (signal.aborted) return false
  const child = spawn('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 420_000,
    // In a group of its own: what ends us must not cut it in the middle of a package.
    detached: true,
  })
  // It then ends as soon as no package is half installed.
  signal.addEventListener('abort', () => child.kill('SIGINT'))
  return new Promise((resolve) => child.once('error', () => resolve(false)).once('close', (code) => resolve(code === 0)))
}

/** Undefined: it did not start. */
async function startEngine(signal) {
  const room = mkdtempSync(join(tmpdir(), 'belay-engine-'))
  const host = `unix://${join(room, 'docker.sock')}`
  const config = join(room, 'daemon.json')
  const pidFile = join(room, 'docker.pid')
  writeFileSync(config, JSON.stringify({ 'log-driver': 'json-file', 'log-opts': { 'max-size': '10m', 'max-file': '2' } }))
  const places = ['--data-root', join(room, 'data'), '--exec-root', join(room, 'exec'), '--pidfile', pidFile]
  const log = join(room, 'log')
  const output = openSync(log, 'a')
  let stopping = false
  let deaths = 0
  let engine
  let ended

  /** As a machine's service does: one that dies is started again. */
  function launch() {
    // A killed one leaves it, and it would stop the next.
    rmSync(pidFile, { force: true })
    // In a group of its own: Ctrl-C reaches it only through us, after the tests have tidied up.
    const child = spawn('dockerd', [...places, '--host', host, '--config-file', config], {
      stdio: ['ignore', output, output],
      detached: true,
    })
    engine = child
    ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
    void ended.then(() => {
      deaths += 1
      if (!stopping && deaths < 5) launch()
    })
  }

  async function stop() {
    stopping = true
    engine.kill('SIGTERM')
    const late = setTimeout(() => engine.kill('SIGKILL'), 30_000)
    await ended
    clearTimeout(late)
    unmountAll(room)
    rmSync(room, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }

  launch()
  const env = { DOCKER_HOST: host, BELAY_TEST_ENGINE_PIDFILE: pidFile }
  for (let tries = 0; tries < 150 && deaths < 5 && !signal.aborted; tries += 1) {
    if (engineAnswers({ ...process.env, ...env })) {
      console.log(`test: a container engine was started for the tests, and is stopped with them (pid ${engine.pid})`)
      return { env, stop }
    }
    await pause(200)
  }
  if (!signal.aborted) console.log(`test: the container engine did not start:\n${readFileSync(log, 'utf8').slice(-2_000)}`)
  await stop()
  return undefined
}

/** An engine that was killed, as some tests do, leaves its mounts, and the next one of that place removes only its own. */
function unmountAll(room) {
  const places = readFileSync('/proc/self/mounts', 'utf8').split('\n').map((line) => line.split(' ')[1] ?? '') // prettier-ignore
  for (const place of places.reverse()) if (place.startsWith(`${room}/`)) spawnSync('umount', [place], { stdio: 'inherit' })
}

function engineAnswers(env) {
  const asked = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], { env, encoding: 'utf8', timeout: 10_000 })
  return asked.status === 0 && asked.stdout.trim() !== ''
}

function isStatic(program) {
  return spawnSync('ldd', [program], { stdio: 'ignore' }).status !== 0
}

function isOnPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return true
    } catch {
      // Not in this directory; the next one may have it.
      return false
    }
  })
}
