/** The world of a chaos run: Belay on many machines, with a far side that can be broken. */
import { mkdirSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createClient, type Client } from '../../src/api/client.ts'
import {
  clusterPlaces,
  controlNames,
  partNames,
  runnerNames,
  serverNames,
  startCluster,
  type Cluster,
  type PartName,
  type ServerName,
} from '../helpers/cluster.ts'
import { startFaultyWire, type FaultyWire } from '../helpers/faulty-wire.ts'
import { startForgeDouble } from '../helpers/forge-double.ts'
import type { GitRepository } from '../helpers/git-repository.ts'
import { startGitServer } from '../helpers/git-server.ts'
import { findPostgresUser, postgresMissing } from '../helpers/postgres.ts'
import { findQuietPort } from '../helpers/quiet-port.ts'
import { registryMissing, startRegistry } from '../helpers/registry.ts'
import { mountSmallDisk, smallDiskMissing, type SmallDisk } from '../helpers/small-disk.ts'
import type { World } from './evidence.ts'
import { patient } from './patient.ts'
import { environmentNames, project } from './pipelines.ts'
import { findWatchdogs } from './watchdogs.ts'
import type { DiskName } from './schedule.ts'

export interface ChaosWorld extends World {
  cluster: Cluster
  repository: GitRepository
  hookSecret: string
  wires: { registry: FaultyWire; git: FaultyWire } & Record<ServerName, FaultyWire>
  /** Where fault points are armed. */
  points: string
  /** None where they cannot be mounted. */
  disks: Partial<Record<DiskName, SmallDisk>>
  /** By way of a wire that can be broken. */
  clientOf(server: ServerName): Client
  stop(): Promise<void>
}

/** What is missing to have one; empty: nothing. */
export function worldMissing(): string[] {
  const linux = process.platform === 'linux' ? undefined : 'Linux: processes are told apart by /proc'
  return [linux, postgresMissing(), registryMissing()].filter((reason) => reason !== undefined)
}

/** A forge's repository has an owner. */
const repositoryName = `acme/${project}`
const megabyte = 1024 * 1024
/** So much is free on each as long as it is not filled. */
export const freeBytes: Readonly<Record<DiskName, number>> = {
  store: 512 * megabyte,
  logs: 64 * megabyte,
  workspace: 64 * megabyte,
}

/** `directory` is empty, and its owner's to remove. */
export async function startWorld(directory: string): Promise<ChaosWorld> {
  const ends: (() => Promise<unknown>)[] = []
  const stop = async () => {
    const faults: unknown[] = []
    for (const end of ends.splice(0).reverse()) await end().catch((error: unknown) => faults.push(error))
    if (faults.length > 0) throw new AggregateError(faults, `not all could be ended: ${faults.map(String).join('; ')}`)
  }
  try {
    return await assemble({ directory, ends, stop })
  } catch (error) {
    await stop()
    throw error
  }
}

interface Assembly {
  directory: string
  ends: (() => Promise<unknown>)[]
  stop(): Promise<void>
}

async function assemble({ directory, ends, stop }: Assembly): Promise<ChaosWorld> {
  const begun = async <T>(starting: Promise<T>, end: (started: T) => Promise<unknown>): Promise<T> => {
    const started = await starting
    ends.push(() => end(started))
    return started
  }
  const wireTo = (target: string) => begun(startFaultyWire(target), (wire) => wire.close())

  const git = await begun(startGitServer(), (server) => server.stop())
  const repository = await git.createRepository(repositoryName)
  // Branches begin somewhere.
  await repository.commit({ files: { 'readme.md': 'What is released here is good or bad.\n' }, message: 'the first one' })
  const registry = await begun(startRegistry(), (server) => server.stop())
  const forge = await begun(startForgeDouble(), (double) => double.stop())
  const wires = { registry: await wireTo(registry.url), git: await wireTo(git.url) }
  const places = clusterPlaces(directory)
  const points = join(directory, 'points')
  mkdirSync(points)
  const disks = await mountDisks(directory, ends)
  const environments = await Promise.all(
    environmentNames.map(async (name) => ({ name, url: `http://127.0.0.1:${String(await findQuietPort())}` })),
  )
  const secrets = {
    CANARY: `canary-${randomBytes(12).toString('hex')}`,
    STATUS_TOKEN: `status-${randomBytes(12).toString('hex')}`,
  }
  const cluster = await begun(
    startCluster({
      ...{ project, repository: repositoryName, directory, git, gitUrl: wires.git.url, env: secrets, slots: 4 },
      postgres: { freshJournal: true },
      everyEnv: { BELAY_FAULT_POINTS: points },
      projectConfig: projectConfig(forge.url),
      config: configOf(wires.registry.url, environments),
    }),
    (started) => started.stop(),
  )
  const hooks = { 'server-a': await wireTo(cluster.urlOf('server-a')), 'server-b': await wireTo(cluster.urlOf('server-b')) }
  const [token = ''] = cluster.adminTokens
  return {
    ...{ directory, project, forge, registry, environments, cluster, repository, points, disks, stop },
    store: patient(cluster.store),
    client: cluster.clientOf('server-a'),
    temporal: { address: cluster.temporal, namespace: 'default' },
    notes: cluster.notes,
    places: { database: { url: cluster.database }, logs: places.shared.logs, keeper: places.deployer.keeper },
    mounts: Object.values(disks).map((disk) => disk.directory),
    runners: [...cluster.runners],
    canaries: [secrets.CANARY],
    hookSecret: cluster.hookSecret,
    wires: { ...wires, ...hooks },
    clientOf: (server) => createClient({ url: hooks[server].url, token }),
    processes: () => livingParts(cluster),
    ports: portsOf(cluster, environments),
    printed: () => partNames.map((part) => ({ part, text: cluster.output(part) })),
  }
}

async function mountDisks(directory: string, ends: Assembly['ends']): Promise<ChaosWorld['disks']> {
  const missing = smallDiskMissing()
  if (missing !== undefined) {
    process.stdout.write(`chaos: no disk will be filled: ${missing}\n`)
    return {}
  }
  const places = clusterPlaces(directory)
  const mount = async (name: DiskName, at: string, owner = { uid: 0, gid: 0 }) => {
    mkdirSync(at, { recursive: true })
    const disk = await mountSmallDisk({ bytes: freeBytes[name], owner, at })
    ends.push(() => disk.remove())
    return disk
  }
  return {
    store: await mount('store', join(places.postgres, 'data'), findPostgresUser()),
    logs: await mount('logs', places.shared.logs),
    workspace: await mount('workspace', places.workOf('runner-a')),
  }
}

function livingParts(cluster: Cluster): { part: string; pid: number }[] {
  const own = partNames.flatMap((part: PartName) => (cluster.isGone(part) ? [] : [{ part, pid: cluster.pid(part) }]))
  return [...own, ...findWatchdogs(cluster).map((pid) => ({ part: 'watchdog', pid }))]
}

/** Servers and edges listen; machines that only ask others do not. PostgreSQL and Temporal have ports of their own choice. */
function portsOf(cluster: Cluster, environments: ChaosWorld['environments']): World['ports'] {
  const portOf = (url: string) => Number(new URL(url).port)
  const silent: [string, number[]][] = [...controlNames, ...runnerNames, 'deployer', 'watchdog'].map((name) => [name, []])
  const servers = serverNames.map((name) => [name, [portOf(cluster.urlOf(name))]])
  return Object.fromEntries([...silent, ...servers, ['keeper', environments.map(({ url }) => portOf(url))]]) as World['ports']
}

function projectConfig(forge: string): string {
  return `    status_token: { from_env: STATUS_TOKEN }
    api_url: ${forge}
    environments: [${environmentNames.join(', ')}]
`
}

function configOf(registry: string, environments: ChaosWorld['environments']): string {
  const health = '{ http: /healthz, interval: 200ms, unhealthy_after: 3, timeout: 20s }'
  const lines = environments.map(
    ({ name, url }) => `  ${name}: { target: process, edge: { listen: "${new URL(url).host}" }, health: ${health} }\n`,
  )
  return `environments:
${lines.join('')}registries:
  main: { url: ${registry} }
secrets:
  canary: { provider: env, name: CANARY, projects: [${project}] }
`
}
