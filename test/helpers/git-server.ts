/** A real Git server: smart HTTP on 127.0.0.1 through `git http-backend`, with repositories to commit into. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createGitRepository, gitEnvironment, runGit, type GitRepository } from './git-repository.ts'

/**
 * `any-commit`: today's protocol, which gives out every commit. `tips-only`: the older one, which gives out only what a
 * ref points to. `stalled`: pack requests are taken and never answered. `away`: connections are cut.
 */
export type GitServerMode = 'any-commit' | 'tips-only' | 'stalled' | 'away'

export interface GitServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** Directory of the bare repositories. */
  readonly root: string
  mode: GitServerMode
  /** Pack requests so far: fetches that went over the network. */
  readonly packRequests: number
  /** Resolves at the next pack request that is stalled. */
  stalled(): Promise<void>
  /** A repository with one commit on `main` if a directory is given (copied without `.git`, `dist` and `node_modules`). */
  createRepository(name: string, fromDirectory?: string): Promise<GitRepository>
  stop(): Promise<void>
}

export async function startGitServer(): Promise<GitServer> {
  const home = await mkdtemp(join(tmpdir(), 'belay-git-'))
  const root = join(home, 'repositories')
  await mkdir(root)
  let packRequests = 0
  let stalls: (() => void)[] = []
  const state: { mode: GitServerMode } = { mode: 'any-commit' }

  const server = createServer((request, response) => {
    const pack = request.url?.endsWith('/git-upload-pack') === true
    if (pack) packRequests += 1
    if (state.mode === 'away') request.socket.destroy()
    else if (state.mode === 'stalled' && pack) for (const tell of stalls.splice(0)) tell()
    else serve({ root, request, response, newest: state.mode === 'any-commit' })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the Git server has no port')
  const url = `http://127.0.0.1:${String(address.port)}`

  return {
    url,
    root,
    get mode() {
      return state.mode
    },
    set mode(mode) {
      state.mode = mode
    },
    get packRequests() {
      return packRequests
    },
    stalled: () =>
      new Promise((resolve) => {
        stalls = [...stalls, resolve]
      }),
    async createRepository(name, fromDirectory) {
      const directory = join(root, `${name}.git`)
      await mkdir(dirname(directory), { recursive: true })
      await runGit(root, ['init', '-q', '--bare', '--initial-branch=main', directory])
      await runGit(directory, ['config', 'http.receivepack', 'true'])
      const repository = await createGitRepository({ url: `${url}/${name}.git`, bare: directory, work: join(home, 'work', name) })
      if (fromDirectory !== undefined) await importDirectory(repository, fromDirectory)
      return repository
    },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

const leftOut = /(?:^|\/)(?:\.git|dist|node_modules)$/

async function importDirectory(repository: GitRepository, from: string): Promise<void> {
  await cp(from, repository.work, { recursive: true, filter: (source) => source === from || !leftOut.test(source) })
  await repository.commit({ files: {}, message: 'The first one' })
}

interface Served {
  root: string
  request: IncomingMessage
  response: ServerResponse
  newest: boolean
}

/** One CGI call; the program's header block becomes ours. */
function serve({ root, request, response, newest }: Served): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://git')
  const protocol = request.headers['git-protocol']
  const backend = spawn('git', ['http-backend'], {
    // What it says to stderr it says to the client too.
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      ...gitEnvironment(),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      REMOTE_ADDR: '127.0.0.1',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      ...(request.headers['content-encoding'] === undefined
        ? {}
        : { HTTP_CONTENT_ENCODING: request.headers['content-encoding'] }),
      ...(newest && typeof protocol === 'string' ? { GIT_PROTOCOL: protocol } : {}),
    },
  })
  request.pipe(backend.stdin)
  // A client that was killed, or a backend that has read enough: the other side is told by the end of the stream.
  backend.stdin.on('error', () => request.unpipe(backend.stdin))
  response.on('close', () => backend.kill())
  let head = Buffer.alloc(0)
  backend.stdout.on('data', function onHead(chunk: Buffer) {
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) return
    backend.stdout.off('data', onHead)
    const lines = head.subarray(0, end).toString('latin1').split('\r\n')
    const headers = lines.map((line) => line.split(/: ?(.*)/s, 2) as [string, string])
    const status = headers.find(([name]) => name.toLowerCase() === 'status')?.[1] ?? '200'
    response.writeHead(
      Number.parseInt(status, 10),
      Object.fromEntries(headers.filter(([name]) => name.toLowerCase() !== 'status')),
    )
    response.write(head.subarray(end + 4))
    backend.stdout.pipe(response)
  })
}
