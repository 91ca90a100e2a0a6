/** What is pushed: pipelines that take well under a second but for their deployments, and an application that can be bad. */
import { noteEffect } from './effects.ts'
import { printLines } from './expected-lines.ts'
import { migrateKey, migrateProgram } from './schemas.ts'

export const project = 'chaos'
export const environmentNames = ['red', 'green', 'blue'] as const
export type EnvironmentName = (typeof environmentNames)[number]

export const branches = ['main', 'next', 'hot', 'spare'] as const
/** No pipeline matches there. */
export const idleBranch = 'idle'

/**
 * What becomes of a release: `good`; `late`: a step after it fails, and it is taken back; `deaf`: never healthy; `sick`: no
 * longer healthy while it is watched; `dead`: ends at its start; `broken`: not even built, or if it migrates its migration says no;
 * `stuck`: as `late`, and its other undo says no until a person has seen to it.
 */
export const fates = ['good', 'late', 'deaf', 'sick', 'dead', 'broken', 'stuck'] as const
export type Fate = (typeof fates)[number]

/**
 * What a pipeline has besides: a step of `finally`; a checkpoint after its build; an artifact of its build that its last step looks at;
 * a step that fails at first and has a `retry`; migrations.
 */
export const traits = ['finally', 'checkpoint', 'handed', 'flaky', 'migrates'] as const
export type Trait = (typeof traits)[number]

export interface Written {
  fate: Fate
  /** Deployed to in this order. */
  environments: readonly EnvironmentName[]
  /** They are a group, so many of it at once; absent: each has a step of its own. */
  atOnce?: number
  traits: readonly Trait[]
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
    'migrate.cjs': migrateProgram,
    version: `${version}\n`,
    '.belay/ship.yml': shipping(written, version, notes),
    '.belay/check.yml': written.second ? checking(notes) : null,
  }
}

export function pipelinesOf({ second }: Written): string[] {
  return second ? ['check', 'ship'] : ['ship']
}

function step(name: string, lines: readonly string[], rest = ''): string {
  return `  ${name}:\n    commands:\n${lines.map((line) => `      - '${line}'\n`).join('')}${rest}`
}

const when = `when: [{ event: push, branch: [${branches.join(', ')}] }]\n`
const canary = '    env: { CANARY: { from_secret: canary } }\n'

function shipping(written: Written, version: string, notes: string): string {
  const { fate, traits: has } = written
  const entrypoint = `[node, /app/app.cjs, "${version}", ${fate}]`
  const files = '{ app.cjs: /app/app.cjs, migrate.cjs: /app/migrate.cjs, version: /app/version }'
  const flaky = ['[ "$BELAY_ATTEMPT" -gt 1 ]', noteEffect('end', notes)]
  const ships = shipSteps(written, version, notes)
  const [last = ''] = ships.at(-1) ?? []
  return `name: ship
${when}steps:
${buildStep(written, notes)}${announceStep(written, notes)}${has.includes('flaky') ? step('flaky', [noteEffect('begin', notes), printLines(3), ...flaky], '    retry: { max: 2, on: [failed], backoff: 200ms }\n') : ''}  image:
    build_image: { builder: pack, repository: main/${project}/app, tags: ["\${{ sha }}"], files: ${files}, entrypoint: ${entrypoint} }
${ships.map(([, text]) => text).join('')}${afterStep(written, notes, last)}${has.includes('finally') ? `finally:\n${step('tell', [noteEffect('finally', notes), printLines(3)])}` : ''}`
}

function buildStep({ fate, slow, traits: has }: Written, notes: string): string {
  const lines = 40
  const fails = fate === 'broken' && !has.includes('migrates')
  const work = [
    ...(has.includes('handed') ? [`${handed} > made`] : []),
    ...(has.includes('checkpoint') ? ['echo "$BELAY_SHA" > kept'] : []),
    'echo "a canary: $CANARY"',
    printLines(lines, { to: 20 }),
    slow ? 'sleep 3' : 'sleep 0.1',
    printLines(lines, { from: 21 }),
  ]
  const build = [noteEffect('begin', notes), ...work, ...(fails ? ['exit 9'] : []), noteEffect('end', notes)]
  const keeps = has.includes('handed') ? '    artifacts: { paths: [made] }\n' : ''
  return step('build', build, `${canary}${keeps}${has.includes('checkpoint') ? '    checkpoint: true\n' : ''}`)
}

/** What `made` holds. */
const handed = '{ cat app.cjs; echo "$BELAY_SHA"; }'

function announceStep({ fate }: Written, notes: string): string {
  const freed = fate === 'stuck' ? [`[ -e ${notes}/freed.$BELAY_RUN_ID ]`] : []
  const undo = [...freed, noteEffect('undo', notes)].map((line) => `        - '${line}'\n`).join('')
  const lines = [noteEffect('begin', notes), printLines(3), noteEffect('end', notes)]
  return step('announce', lines, `    undo:\n      retry: { max: 1 }\n      commands:\n${undo}`)
}

/** Names with texts. */
function shipSteps({ fate, environments, atOnce, traits: has }: Written, version: string, notes: string): [string, string][] {
  const migrate = `      migrate: ${migrateKey({ version, notes, good: fate !== 'broken' })}\n`
  const ship = (name: string, where: string): [string, string] => [
    name,
    `  ${name}:
    deploy:
      ${where}
      health: { http: /healthz, interval: 150ms, unhealthy_after: 2, timeout: 4s }
      bake: { for: 1s }
${has.includes('migrates') ? migrate : ''}`,
  ]
  if (atOnce === undefined || environments.length < 2)
    return environments.map((environment) => ship(`ship_${environment}`, `environment: ${environment}`))
  return [ship('ship_group', `environments: [${environments.join(', ')}]\n      at_once: ${String(atOnce)}`)]
}

function afterStep({ fate, traits: has }: Written, notes: string, last: string): string {
  const looks = [
    ...(has.includes('handed') ? [`${handed} | cmp -s - made || ${noteEffect('wrong', notes)}`] : []),
    ...(has.includes('checkpoint') ? [`[ "$(cat kept)" = "$BELAY_SHA" ] || ${noteEffect('missing', notes)}`] : []),
  ]
  const fails = fate === 'late' || fate === 'stuck'
  const lines = [noteEffect('begin', notes), ...looks, printLines(3), ...(fails ? ['exit 1'] : []), noteEffect('end', notes)]
  return step('after', lines, has.includes('handed') ? `    needs: [build, ${last}]\n` : '')
}

function checking(notes: string): string {
  const lines = [noteEffect('begin', notes), printLines(20), noteEffect('end', notes)]
  return `name: check\n${when}steps:\n${step('one', lines)}${step('two', lines)}`
}
