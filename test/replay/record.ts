/**
 * Records histories for the replay tests: starts a Belay, drives its workflows down known paths, and keeps what Temporal
 * remembers of them, without a word about this machine. docs/changing-a-workflow.md says when to use it.
 *
 * usage: npm run record [-- NAME...]      (default: every path)
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { homedir, hostname } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'

import { findUpState } from '../../src/cli/up/up-file.ts'
import { startScenario, type Scenario } from '../helpers/scenario.ts'
import { deploymentDrives, driveEnvironments } from './drive-deployments.ts'
import { guardDrives, guardEnvironments } from './drive-guards.ts'
import { recoveryDrives } from './drive-recoveries.ts'
import { resumedDrives } from './drive-resumed.ts'
import { runDrives } from './drive-runs.ts'
import { takeoverDrives } from './drive-takeovers.ts'
import { silenceDrives } from './drive-silences.ts'
import { fetchHistory } from './drive.ts'
import { historiesDirectory, historyFile, isPathName, listPathNames, type PathName } from './recorded-paths.ts'
import { findMachine, readableHistory, scrubHistory, type Machine } from './scrub-history.ts'

const top = fileURLToPath(new URL(import.meta.url.includes('/dist/') ? '../../..' : '../..', import.meta.url)).replace(/\/$/, '')
const limitBytes = 200_000

await main(process.argv.slice(2))

async function main(names: string[]): Promise<void> {
  const unknown = names.filter((name) => !isPathName(name))
  if (unknown.length > 0) throw new Error(`no path is named ${unknown.join(', ')}; there are ${listPathNames().join(', ')}`)
  const wanted = new Set<PathName>(names.length === 0 ? listPathNames() : names.filter(isPathName))
  const scenario = await startScenario({ environments: [...driveEnvironments, ...guardEnvironments] })
  try {
    await record(scenario, wanted)
  } catch (error) {
    process.stderr.write(`The end of what Belay printed:\n${scenario.system.output().split('\n').slice(-40).join('\n')}\n`)
    throw error
  } finally {
    await scenario.stop()
  }
}

async function record(scenario: Scenario, wanted: ReadonlySet<PathName>): Promise<void> {
  const address = findUpState(scenario.system.data)?.temporal
  if (address === undefined) throw new Error('Belay does not say where its Temporal is')
  const connection = await Connection.connect({ address })
  try {
    const temporal = new Client({ connection })
    for (const { records, drive } of [
      ...runDrives,
      ...resumedDrives,
      ...takeoverDrives,
      ...deploymentDrives,
      ...recoveryDrives,
      ...guardDrives,
      ...silenceDrives,
    ]) {
      if (!records.some((name) => wanted.has(name))) continue
      const driven = await drive({ scenario, temporal })
      for (const name of records) {
        const found = driven[name]
        if (found === undefined) throw new Error(`nothing was driven for ${name}`)
        if (!wanted.has(name)) continue
        if (typeof found === 'string') save(name, await fetchHistory(temporal, found), scenario)
        else if ('history' in found) save(name, found.history, found.scenario)
        else save(name, await fetchHistory(temporal, found.workflowId, found.runId), scenario)
      }
    }
  } finally {
    await connection.close()
  }
}

function save(name: PathName, recorded: string, scenario: Scenario): void {
  const machine = describeMachine(scenario)
  const history = scrubHistory(recorded, machine)
  const told = findMachine(history, machine)
  if (told.length > 0) throw new Error(`${name} tells about this machine: ${told.join(', ')}`)
  if (readableHistory(history).includes(scenario.system.token)) throw new Error(`${name} holds a token`)
  if (history.length > limitBytes)
    throw new Error(`${name} has ${String(history.length)} bytes; the limit is ${String(limitBytes)}`)
  mkdirSync(historiesDirectory, { recursive: true })
  writeFileSync(historyFile(name), history)
  process.stdout.write(`${name}: ${String(history.split('\n').length - 3)} events, ${String(history.length)} bytes\n`)
}

function describeMachine(scenario: Scenario): Machine {
  return {
    host: hostname(),
    places: [
      [scenario.system.directory, '/tmp/belay'],
      [dirname(scenario.git.root), '/tmp/belay-git'],
      [top, '/belay'],
      [`${homedir()}/`, '/home/belay/'],
    ],
  }
}
