/** What is pushed: pipelines that take well under a second but for their deployments, and an application that can be bad. */
import { printLines } from './expected-lines.ts'

export const project = 'chaos'
export const environmentNames = ['red', 'green', 'blue'] as const
export type EnvironmentName = (typeof environmentNames)[number]

export const branches = ['main', 'next', 'hot', 'spare'] as const
/** No pipeline matches there. */
export const idleBranch = 'idle'

/**
 * What becomes of a release: `good`; `late`: a step after it fails, and it is taken back; `deaf`: never healthy; `sick`: no
 * longer healthy while it is watched; `dead`: ends at its start; `broken`: not even built; `stuck`: as `late`, and its other
 * undo says no until a person has seen to it.
 */
export const fates = ['good', 'late', 'deaf', 'sick', 'dead', 'broken', 'stuck'] as const
export type Fate = (typeof fates)[number]

export interface Written {
  fate: Fate
  /** Deployed to in this order. */
  environments: readonly EnvironmentName[]
  /** A second pipeline, of commands alone. */
  second: boolean
  /** A person has time to cancel it. */
  slow: boolean
}

/**
 * GET /version its version; /env?name= a variable; /healthz 200, or 503: `deaf` always, `sick` some time after its start, any after a POST to
 * `/sicken?ms=` for so long.
 */
const program = `
const http = require('node:http')
const [version, fate] = process.argv.slice(2)
if (fate === 'dead') process.exit(3)
const bornAt = Date.now()
let sickUntil = 0
const healthy = () => fate !== 'deaf' && (fate !== 'sick' || Date.now() - bornAt < 700) && Date.now() >= sickUntil
const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://app')
  const say = (status, text) => { response.writeHead(status, { 'content-type': 'text/plain' }); response.end(text) }
  if (url.pathname === '/version') return say(200, version)
  if (url.pathname === '/env') return say(200, process.env[url.searchParams.get('name')] ?? '')
  if (url.pathname === '/healthz') return say(healthy() ? 200 : 503, String(healthy()))
  if (url.pathname === '/sicken' && request.method === 'POST') { sickUntil = Date.now() + Number(url.searchParams.get('ms')); return say(200, 'sick') }
  say(404, 'nothing here')
})
server.listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
`

/** The files of a commit; `notes` is where steps write down what they do. */
export function filesOf(written: Written, { version, notes }: { version: string; notes: string }): Record<string, string | null> {
  return {
    'app.cjs': program,
    version: `${version}\n`,
    '.belay/ship.yml': shipping(written, version, notes),
    '.belay/check.yml': written.second ? checking(notes) : null,
  }
}

export function pipelinesOf({ second }: Written): string[] {
  return second ? ['check', 'ship'] : ['ship']
}

/** Short appends to one file: the kernel keeps them whole. */
function mark(what: 'begin' | 'end' | 'undo', notes: string): string {
  return `echo "${what} $BELAY_RUN_ID $BELAY_STEP $BELAY_ATTEMPT" >> ${notes}/effects`
}

function step(name: string, lines: readonly string[], rest = ''): string {
  return `  ${name}:\n    commands:\n${lines.map((line) => `      - '${line}'\n`).join('')}${rest}`
}

const when = `when: [{ event: push, branch: [${branches.join(', ')}] }]\n`
const canary = '    env: { CANARY: { from_secret: canary } }\n'

function shipping({ fate, environments, slow }: Written, version: string, notes: string): string {
  const lines = 40
  const work = [
    'echo "a canary: $CANARY"',
    printLines(lines, { to: 20 }),
    slow ? 'sleep 3' : 'sleep 0.1',
    printLines(lines, { from: 21 }),
  ]
  const build = [mark('begin', notes), ...work, ...(fate === 'broken' ? ['exit 9'] : []), mark('end', notes)]
  const freed = fate === 'stuck' ? [`[ -e ${notes}/freed.$BELAY_RUN_ID ]`] : []
  const undo = [...freed, mark('undo', notes)].map((line) => `        - '${line}'\n`).join('')
  const fails = fate === 'late' || fate === 'stuck'
  const entrypoint = `[node, /app/app.cjs, "${version}", ${fate}]`
  const ships = environments.map(
    (environment) => `  ship_${environment}:
    deploy:
      environment: ${environment}
      health: { http: /healthz, interval: 150ms, unhealthy_after: 2, timeout: 4s }
      bake: { for: 1s }
`,
  )
  return `name: ship
${when}steps:
${step('build', build, canary)}${step('announce', [mark('begin', notes), printLines(3), mark('end', notes)], `    undo:\n      retry: { max: 1 }\n      commands:\n${undo}`)}  image:
    build_image: { builder: pack, repository: main/${project}/app, tags: ["\${{ sha }}"], files: { app.cjs: /app/app.cjs, version: /app/version }, entrypoint: ${entrypoint} }
${ships.join('')}${step('after', [mark('begin', notes), printLines(3), ...(fails ? ['exit 1'] : []), mark('end', notes)])}`
}

function checking(notes: string): string {
  const lines = [mark('begin', notes), printLines(20), mark('end', notes)]
  return `name: check\n${when}steps:\n${step('one', lines)}${step('two', lines)}`
}
