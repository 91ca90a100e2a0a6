/** Runs Git: argv arrays, nothing of this machine's Git configuration, no prompt, no hook, no credentials of its own. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { BelayError } from '../../domain/errors.ts'
import { writeFileDurably } from '../../process/durable-file.ts'
import { findTagged } from '../../process/identity.ts'
import { spawnProcess } from '../../process/spawn.ts'
import { throwIfStopped } from './stopped.ts'

export interface GitCommand {
  args: readonly string[]
  cwd: string
  signal: AbortSignal
  /** Text for stdin. */
  input?: string
  /** Names it for `killLeftoverGit`, should this process die meanwhile. */
  tag?: string
}

export interface GitResult {
  ok: boolean
  /** Standard output; standard error comes with it, and is empty when a plumbing command succeeds. */
  output: Buffer
}

export type Git = (command: GitCommand) => Promise<GitResult>

const tagVariable = 'BELAY_GIT_TAG'

const outputLimitBytes = 8 * 1024 * 1024
const stopGraceMs = 2_000

/** `home`: absolute path of a directory of ours; holds the only configuration that Git reads. */
export function createGit(home: string): Git {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  writeFileDurably(join(home, 'gitconfig'), configuration)

  return async ({ args, cwd, signal, input, tag }) => {
    throwIfStopped(signal)
    const output = collector()
    const git = await spawnProcess({
      file: 'git',
      args,
      cwd,
      env: { ...environment(home), ...(tag === undefined ? {} : { [tagVariable]: tag }) },
      output: output.take,
      ...(input === undefined ? {} : { input }),
    })
    const stop = (): void => {
      void git.stop(stopGraceMs)
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      if (signal.aborted) stop()
      const exit = await git.done
      // The leader's helpers (git-remote-https) must not outlive it: they may hold locks.
      await git.stop(stopGraceMs)
      throwIfStopped(signal)
      return { ok: exit.exitCode === 0, output: output.bytes() }
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}

/** Kills what a killed process of ours left running under that tag; resolves when it is gone. */
export async function killLeftoverGit(tag: string): Promise<void> {
  for (let pids = findTagged(tagVariable, tag); pids.length > 0; pids = findTagged(tagVariable, tag)) {
    for (const pid of pids) killIfThere(pid)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended in between, which is what was wanted.
  }
}

function collector(): { take(chunk: Buffer): void; bytes(): Buffer } {
  const chunks: Buffer[] = []
  let size = 0
  return {
    take(chunk) {
      size += chunk.length
      if (size <= outputLimitBytes) chunks.push(chunk)
    },
    bytes() {
      if (size <= outputLimitBytes) return Buffer.concat(chunks)
      throw new BelayError({ code: 'too_large', message: `git printed more than ${String(outputLimitBytes)} bytes` })
    },
  }
}

/** Variables a machine may need to reach its forge at all; everything else stays out. */
const handedOn = [
  'http_proxy',
  'https_proxy',
  'all_proxy',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  'SSH_AUTH_SOCK',
]

function environment(home: string): Record<string, string> {
  const names = handedOn.flatMap((name) => [name, name.toUpperCase()])
  const given = Object.entries(process.env).filter((entry): entry is [string, string] => names.includes(entry[0]))
  return {
    PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    ...Object.fromEntries(given),
    HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_GLOBAL: join(home, 'gitconfig'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'true',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15',
  }
}

/**
 * A file rather than `-c`, because the upload-pack that Git starts for a repository on this machine reads it too.
 * `unpackLimit`: objects arrive as one pack or not at all, so a commit that is there is there whole, kills included.
 * `safe.directory`: a local repository may belong to the user who works in it while Belay runs as root.
 */
const configuration = `[protocol]
	allow = never
[protocol "https"]
	allow = always
[protocol "http"]
	allow = always
[protocol "ssh"]
	allow = always
[protocol "file"]
	allow = always
[core]
	hooksPath = /dev/null
[credential]
	helper =
[safe]
	directory = *
[fetch]
	unpackLimit = 1
	recurseSubmodules = false
[submodule]
	recurse = false
[gc]
	auto = 0
[maintenance]
	auto = false
[http]
	lowSpeedLimit = 100
	lowSpeedTime = 30
[init]
	defaultBranch = main
[advice]
	detachedHead = false
`
