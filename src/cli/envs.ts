import type { Command } from 'commander'
import type { EnvironmentDetail } from '../api/environment-schemas.ts'
import type { Deployment } from '../domain/environment.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { cell, formatAge, printJson, printTable, shortDigest } from './format.ts'
import type { Io } from './io.ts'

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
        active === undefined ? '' : `${active.kind} of release ${String(active.release.number)} under way`,
        environment.queued > 0 ? `${String(environment.queued)} waiting` : '',
        environment.url,
      ])
      printTable(io, [['ENVIRONMENT', 'SERVES', 'VERSION', 'DIGEST', 'NOW', 'QUEUE', 'URL'], ...rows])
    })
}

function printEnvironment(io: Io, environment: EnvironmentDetail, deployments: readonly Deployment[]): void {
  const { current } = environment
  const serves = current === undefined ? 'nothing' : `release ${String(current.release.number)} ${current.release.image.digest}`
  io.out(`${environment.name}  ${environment.url}\n  serves ${serves}\n`)
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
