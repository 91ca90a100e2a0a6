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

/** Installs what is missing and starts an engine if none answers. Gives what tests need in their environment, and the way to stop it. */
export async function ensureRealParts() {
  const missing = Object.keys(packages).filter((name) => !packages[name]())
  const mayInstall = process.env.BELAY_TEST_INSTALL !== '0' && isRootOnDebian()
  if (missing.length > 0) {
    if (mayInstall) installPackages(missing)
    else
      console.log(
        `test: missing, so some tests are skipped. To have all of it on Debian: sudo apt-get install -y ${missing.join(' ')}`,
      )
  }
  if (engineAnswers(process.env)) return { env: {}, stop: () => Promise.resolve() }
  if (mayInstall && packages['docker.io']()) return startEngine()
  console.log('test: no container engine answers; start one, or run as root on Debian')
  return { env: {}, stop: () => Promise.resolve() }
}

function isRootOnDebian() {
  return existsSync('/etc/debian_version') && isOnPath('apt-get') && process.getuid?.() === 0
}

function installPackages(names) {
  console.log(
    `test: installing with apt-get: ${names.join(' ')} (BELAY_TEST_INSTALL=0 leaves them out); none of their services is started`,
  )
  const withoutServices = forbidServices()
  try {
    const install = ['install', '--yes', '--quiet=2', '--no-install-recommends', ...names]
    // Lists that are already there save the slow update; a fresh machine has none.
    if (!apt(install) && !(apt(['update', '--quiet=2']) && apt(install)))
      console.log('test: apt-get could not install all of them')
  } finally {
    withoutServices()
  }
}

/** Debian asks this file before a package starts its service; 101 is "no". */
function forbidServices() {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return () => undefined
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return () => rmSync(policy, { force: true })
}

function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: 420_000 }
  return spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], options).status === 0
}

async function startEngine() {
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
    rmSync(room, { recursive: true, force: true })
  }

  launch()
  const env = { DOCKER_HOST: host, BELAY_TEST_ENGINE_PIDFILE: pidFile }
  for (let tries = 0; tries < 150 && deaths < 5; tries += 1) {
    if (engineAnswers({ ...process.env, ...env })) {
      console.log(`test: a container engine was started for the tests, and is stopped with them (pid ${engine.pid})`)
      return { env, stop }
    }
    await pause(200)
  }
  console.log(`test: the container engine did not start:\n${readFileSync(log, 'utf8').slice(-2_000)}`)
  await stop()
  return { env: {}, stop: () => Promise.resolve() }
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
