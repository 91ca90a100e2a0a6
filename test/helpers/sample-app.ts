/** A small HTTP application, as a program on disk: what the keeper and the `process` target are tried with. */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * GET /version its version; /slow answers after `?ms=`; /crash ends the process with code 7; /env?name= a variable;
 * /healthz 200, or 503 once asked for /sicken, or for /version more often than SICK_AFTER; /status?code= that status; /cut breaks off in mid-answer.
 */
export const sampleProgram = `
const http = require('node:http')
const version = process.argv[2]
let healthy = true
let asked = 0
const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://app')
  const say = (status, text) => { response.writeHead(status, { 'content-type': 'text/plain' }); response.end(text) }
  if (url.pathname === '/version' && ++asked > Number(process.env.SICK_AFTER ?? Infinity)) healthy = false
  if (url.pathname === '/version') return say(200, version)
  if (url.pathname === '/slow') return void setTimeout(() => say(200, version), Number(url.searchParams.get('ms')))
  if (url.pathname === '/crash') { console.log('crashing as asked'); process.exit(7) }
  if (url.pathname === '/env') return say(200, process.env[url.searchParams.get('name')] ?? '')
  if (url.pathname === '/who') return say(200, String(process.getuid()))
  if (url.pathname === '/headers') return say(200, JSON.stringify(request.headers))
  if (url.pathname === '/sicken') { healthy = false; return say(200, 'sick') }
  if (url.pathname === '/healthz') return say(healthy ? 200 : 503, String(healthy))
  if (url.pathname === '/status') return say(Number(url.searchParams.get('code')), 'status')
  if (url.pathname === '/cut') { response.writeHead(200, { 'content-length': '100' }); response.write('half'); return void setTimeout(() => response.destroy(), 20) }
  if (url.pathname === '/echo') { response.writeHead(200); return void request.pipe(response) }
  say(404, 'nothing here')
})
server.listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1', () => console.log('listening as ' + version))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
`

/** A directory that the user an application runs as can read, also where the tests run as root. */
export function openDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'belay-'))
  chmodSync(directory, 0o755)
  return directory
}

/** Lays the program where a release would be unpacked, and gives that directory. */
export function laySampleApp(apps: string, name: string): string {
  const directory = `${apps}/production/${name}`
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  writeFileSync(`${directory}/app.cjs`, sampleProgram)
  return directory
}

/** A digest that is easy to tell from others. */
export function sampleDigest(letter: string): string {
  return `sha256:${letter.repeat(64)}`
}
