import type { Command } from 'commander'
import type { EnvironmentDetail } from '../api/environment-schemas.ts'
import type { Deployment } from '../domain/environment.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { cell, formatAge, formatTime, printJson, printTable, shortDigest } from './format.ts'
import { describeTimes } from './freeze.ts'
import type { Io } from './io.ts'
import { printable } from './terminal-text.ts'

export function envsCommand(io: Io): Command {
  return clientCommand('envs', 'what is deployed where; with a name, its history', io)
    .argument('[name]', 'one environment')
    .action(async (name: string | undefined, flags: CommonFlags) => {
      const client = connect(flags, io)
      if (name !== undefined) {
        const [environment, deployments] = await Promise.all([client.getEnvironment(name), client.listDeployments(name)])
        if (flags.json === true) printJson(io, { ...environment, deployments: deployments.items })
        else printEnvironment(io, environment, deployments.items)
        return
      }
      const { items } = await client.listEnvironments()
      if (flags.json === true) {
        printJson(io, { items })
        return
      }
      const rows = items.map(({ current, active, ...environment }) => [
        environment.name,
        current === undefined ? 'nothing' : `release ${String(current.release.number)}`,
        current === undefined ? '' : cell(current.release.version, 20),
        current === undefined ? '' : shortDigest(current.release.image.digest),
        cell(nowOf({ active, frozen: environment.frozen }), 100),
        environment.queued > 0 ? `${String(environment.queued)} waiting` : '',
        environment.url,
      ])
      printTable(io, [['ENVIRONMENT', 'SERVES', 'VERSION', 'DIGEST', 'NOW', 'QUEUE', 'URL'], ...rows])
    })
}

function nowOf({ active, frozen }: Pick<EnvironmentDetail, 'active' | 'frozen'>): string {
  const parts = [
    ...(active === undefined ? [] : [`${active.kind} of release ${String(active.release.number)} under way`]),
    ...(frozen === undefined ? [] : [frozen.reason]),
  ]
  return parts.join(', ')
}

function printEnvironment(io: Io, environment: EnvironmentDetail, deployments: readonly Deployment[]): void {
  const { current, history } = environment
  const serving = history.findLast(({ deploymentId }) => deploymentId === current?.deploymentId)
  const settled = serving?.status === 'provisional' ? ', provisional: its run has not settled' : ''
  const serves =
    current === undefined ? 'nothing' : `release ${String(current.release.number)} ${current.release.image.digest}${settled}`
  io.out(`${environment.name}  ${environment.url}\n  serves ${serves}\n`)
  const now = nowOf(environment)
  if (now !== '') io.out(`  now: ${printable(now)}\n`)
  for (const { release, status } of history)
    if (status === 'provisional' && release.id !== current?.release.id)
      io.out(`  provisional: release ${String(release.number)}, which does not serve any more\n`)
  printQueue(io, environment)
  printGuards(io, environment)
  if (deployments.length === 0) return
  io.out('\n')
  printTable(io, [
    ['WHAT', 'RELEASE', 'VERSION', 'STATUS', 'WHEN', 'DIGEST', ''],
    ...deployments.map((deployment) => [
      deployment.kind,
      String(deployment.release.number),
      cell(deployment.release.version, 20),
      deployment.status,
      formatAge(deployment.startedAt),
      shortDigest(deployment.release.image.digest),
      cell(deployment.reason ?? '', 80),
    ]),
  ])
}

/** In the order in which they go: what a person takes back first. */
function printQueue(io: Io, { queue, rollbacks, frozen, history }: EnvironmentDetail): void {
  const waits = frozen === undefined ? [] : [`waits: ${frozen.reason}`]
  const rows = [
    ...rollbacks.map(({ release, to, actor, reason, force }) => {
      const forced = force === true ? ['forced'] : waits
      const says = [...(release === undefined ? [] : forced), ...(reason === undefined ? [] : [reason])]
      const back = `rollback${to === undefined ? '' : ` to ${nameOf(to, history)}`}`
      const what = release === undefined ? back : `release ${String(release.number)}`
      return [what, `by ${cell(actor.name, 30)}`, cell(says.join('; '), 160)]
    }),
    ...queue.map(({ release, runId }) => [
      `release ${String(release.number)}`,
      `run ${runId}`,
      cell(waits[0] ?? 'waits for its turn', 100),
    ]),
  ]
  if (rows.length === 0) return
  io.out('\nqueue:\n')
  printTable(
    io,
    rows.map(([first = '', ...rest]) => [`  ${first}`, ...rest]),
  )
}

/** Of what a rollback goes to: an id of a release; by earlier versions a digest. */
function nameOf(to: string, history: EnvironmentDetail['history']): string {
  const served = history.find(({ release }) => release.id === to)
  return served === undefined ? shortDigest(to) : `release ${String(served.release.number)}`
}

function printGuards(io: Io, { freezes, blocked }: EnvironmentDetail): void {
  if (freezes.length > 0) io.out('\nfreeze windows:\n')
  for (const freeze of freezes) {
    const next = freeze.next === undefined ? 'over' : `next ${formatTime(freeze.next.from)} to ${formatTime(freeze.next.until)}`
    io.out(`  ${freeze.id}  ${describeTimes(freeze)}; ${next}; by ${by(freeze)}\n`)
  }
  if (blocked.length > 0) io.out('\nblocked:\n')
  for (const block of blocked)
    io.out(`  release ${String(block.release.number)}  ${shortDigest(block.release.image.digest)}  by ${by(block)}\n`)
}

function by({ actor, reason }: { actor: { name: string }; reason?: string | undefined }): string {
  return cell(`${actor.name}${reason === undefined ? '' : `: ${reason}`}`, 120)
}
