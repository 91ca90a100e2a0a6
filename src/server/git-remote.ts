/** What a remote repository says about its branches: `git ls-remote`, and nothing else. */
import { tmpdir } from 'node:os'
import { BelayError } from '../domain/errors.ts'
import { spawnProcess } from '../process/spawn.ts'

const timeoutMs = 20_000
const outputLimitBytes = 16 * 1024 * 1024

/** Heads by branch name. Throws `unavailable` (retryable) if the repository does not answer. */
export async function fetchHeads(repository: string): Promise<Record<string, string>> {
  return headsOf(await lsRemote(['--heads', '--', repository]))
}

/** The head of a branch, or of the default branch if none is named. Throws `not_found`, `invalid_input`, `unavailable`. */
export async function resolveBranch(input: {
  repository: string
  branch: string | undefined
}): Promise<{ branch: string; sha: string }> {
  const branch = input.branch ?? (await fetchDefaultBranch(input.repository))
  checkBranch(branch)
  const heads = headsOf(await lsRemote(['--', input.repository, `refs/heads/${branch}`]))
  const sha = Object.hasOwn(heads, branch) ? heads[branch] : undefined
  if (sha !== undefined) return { branch, sha }
  throw new BelayError({ code: 'not_found', message: `the repository has no branch ${JSON.stringify(branch)}` })
}

async function fetchDefaultBranch(repository: string): Promise<string> {
  const branch = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(await lsRemote(['--symref', '--', repository, 'HEAD']))?.[1]
  if (branch !== undefined) return branch
  throw new BelayError({ code: 'not_found', message: 'the repository has no default branch yet', hint: 'Name a branch.' })
}

function headsOf(text: string): Record<string, string> {
  const heads = text.matchAll(/^([0-9a-f]{40}|[0-9a-f]{64})\trefs\/heads\/(.+)$/gm)
  return Object.fromEntries([...heads].map(([, sha = '', branch = '']) => [branch, sha]))
}

/** As `git check-ref-format` has it; above all without the characters that ls-remote reads as a pattern. */
function checkBranch(branch: string): void {
  const forbidden = /[\p{Cc} ~^:?*[\\]|\.\.|@\{|\/\/|^[-/.]|[/.]$|\.lock$/u
  if (!forbidden.test(branch)) return
  throw new BelayError({ code: 'invalid_input', message: `${JSON.stringify(branch)} is not a branch name that Git knows` })
}

async function lsRemote(args: string[]): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  const git = await spawnProcess({
    file: 'git',
    args: ['ls-remote', '--quiet', ...args],
    cwd: tmpdir(),
    env: gitEnvironment(process.env),
    output(chunk) {
      sizeBytes += chunk.length
      if (sizeBytes <= outputLimitBytes) chunks.push(chunk)
    },
  })
  let late = false
  const timer = setTimeout(() => {
    late = true
    void git.stop(1_000)
  }, timeoutMs)
  const exit = await git.done
  clearTimeout(timer)
  const text = Buffer.concat(chunks).toString('utf8')
  if (exit.exitCode === 0 && sizeBytes <= outputLimitBytes) return text
  throw new BelayError({
    code: 'unavailable',
    message: late
      ? `the repository did not answer within ${String(timeoutMs / 1000)} s`
      : `git ls-remote failed: ${lastLineOf(text)}`,
    hint: 'Can this machine reach the repository, with the credentials that Git has here?',
    retryable: true,
  })
}

/** Never asks anybody, and speaks the protocols that the configuration allows, only. */
function gitEnvironment(from: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const passed = ['PATH', 'HOME', 'SSH_AUTH_SOCK', 'SSL_CERT_FILE', 'HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY']
  const present = passed.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]] as const]))
  return {
    ...Object.fromEntries(present),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'https:http:ssh:file',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ConnectTimeout=10',
  }
}

function lastLineOf(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 300) ?? ''
}
