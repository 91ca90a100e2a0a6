/** The deployer: one activity worker that reaches targets and holds the environments' credentials. */
import { NativeConnection, Worker } from '@temporalio/worker'
import { createDeployerActivities } from '../src/activities/deployer.ts'
import type { Config, EnvironmentConfig } from '../src/config/config.ts'
import type { Places } from '../src/config/places.ts'
import { taskQueues } from '../src/contract/task-queues.ts'
import { BelayError, messageOf } from '../src/domain/errors.ts'
import type { EnvValue } from '../src/domain/plan.ts'
import { secretProviders } from '../src/drivers/secrets/index.ts'
import { removeEnvironments } from '../src/drivers/targets/remove-environments.ts'
import { createEdgeControl } from '../src/drivers/targets/create-edge-control.ts'
import { targets, type TargetDeps } from '../src/drivers/targets/index.ts'
import type { Target } from '../src/drivers/targets/target.ts'
import { keeperSocket } from '../src/embedded/keeper/keeper-socket.ts'
import { createDataConverter } from '../src/payloads/data-converter.ts'
import { engineEnvironment, pickVariables } from '../src/process/engine-environment.ts'
import { createMask } from '../src/runner/masker.ts'
import { say } from './say.ts'

export interface DeployerOptions {
  config: Config
  places: Places
  temporal: { address: string; namespace: string }
  /** Of our store: tells our containers from those of another Belay on the same engine. */
  storeId: string
  /** Shared with other workers of the process, which then close it. Default: one of its own. */
  connection?: NativeConnection
  /** Called with the name of a key that this process lacks, before the activity that needs it is failed. */
  onMissingKey?: ((id: string) => void) | undefined
}

const openEdgesAgainMs = 1_000

export async function start(options: DeployerOptions): Promise<{ stop(): Promise<void> }> {
  const { config, temporal } = options
  const made = createTargets(options)
  const activities = createDeployerActivities({
    targetOf: (environment) => made[find(config, environment).target],
    healthOf: (environment) => find(config, environment).health,
    envOf: (environment) => find(config, environment).env,
    async mask(environment, text) {
      const secret = Object.entries(find(config, environment).env).filter(([, value]) => 'secret' in value)
      return createMask(await resolveEnv(config, Object.fromEntries(secret))).maskText(text)
    },
  })
  const connection = options.connection ?? (await NativeConnection.connect({ address: temporal.address }))
  const worker = await createWorker(options, { connection, activities }).catch(async (error: unknown) => {
    if (options.connection === undefined) await connection.close()
    throw error
  })
  const stopOpening = openEdges(options, Object.values(made))
  const running = worker.run()
  return {
    async stop() {
      stopOpening()
      if (worker.getState() === 'RUNNING') worker.shutdown()
      await running
      if (options.connection === undefined) await connection.close()
    },
  }
}

function createWorker(
  { config, temporal, onMissingKey }: DeployerOptions,
  made: { connection: NativeConnection; activities: object },
): Promise<Worker> {
  return Worker.create({
    ...made,
    dataConverter: createDataConverter(config.payloadKeys ?? [], { onMissingKey }),
    namespace: temporal.namespace,
    taskQueue: taskQueues.deployer,
    // Also the delay of a cancellation.
    maxHeartbeatThrottleInterval: '2s',
    defaultHeartbeatThrottleInterval: '2s',
    shutdownGraceTime: '2s',
    shutdownForceTime: '8s',
  })
}

/** One target of each kind, for the environments that have it. */
function createTargets({ config, places, storeId }: DeployerOptions): Record<EnvironmentConfig['target'], Target> {
  const socket = keeperSocket(places.keeper)
  const all = Object.values(config.environments)
  const edgesOf = (environments: readonly EnvironmentConfig[]) =>
    Object.fromEntries(environments.map(({ name, edge }) => [name, edge]))
  const deps: TargetDeps = {
    socket,
    images: places.images,
    apps: places.apps,
    edges: edgesOf(all.filter(({ target }) => target === 'process')),
    edge: createEdgeControl({ socket, edges: edgesOf(all) }),
    environments: Object.fromEntries(all.flatMap(({ name, docker }) => (docker === undefined ? [] : [[name, docker]]))),
    scope: storeId,
    registries: config.registries,
    directory: places.containers,
    env: { ...pickVariables(process.env, ['PATH', 'HOME', 'SSH_AUTH_SOCK']), ...engineEnvironment(process.env) },
    resolveEnv: async (environment) => resolveEnv(config, find(config, environment).env),
  }
  const [inProcesses, inContainers] = targets
  return { process: inProcesses.create(deps), docker: inContainers.create(deps) }
}

function find(config: Config, name: string): EnvironmentConfig {
  const environment = config.environments[name]
  if (environment !== undefined) return environment
  throw new BelayError({
    code: 'not_found',
    message: `there is no environment ${name}`,
    hint: 'Add it to `environments` in belay.config.yml.',
  })
}

async function resolveEnv(config: Config, env: Readonly<Record<string, EnvValue>>): Promise<Record<string, string>> {
  const entries = Object.entries(env).map(
    async ([name, value]) => [name, 'value' in value ? value.value : await resolveSecret(config, value.secret)] as const,
  )
  return Object.fromEntries(await Promise.all(entries))
}

async function resolveSecret(config: Config, name: string): Promise<string> {
  const secret = config.secrets[name]
  const provider = secretProviders.find((candidate) => candidate.name === secret?.provider)
  if (secret !== undefined && provider !== undefined) return provider.resolve(secret.reference)
  throw new BelayError({
    code: 'refused',
    message: `there is no secret ${name}`,
    hint: 'Add it to `secrets` in belay.config.yml.',
  })
}

/** Those that are configured no longer are closed first: a renamed one stands where the new one is to be. */
function openEdges({ config, places }: DeployerOptions, all: readonly Target[]): () => void {
  const socket = keeperSocket(places.keeper)
  const configured = Object.keys(config.environments)
  const stops: (() => void)[] = []
  let stopped = false
  const stopRemoving = keepTrying(async () => {
    // Without a file they are those of the working tree's pipelines: nobody has said that one is gone.
    const removing = config.file === undefined ? undefined : removeEnvironments({ socket, configured, say: tell })
    await removing?.catch((error: unknown) => {
      if (error instanceof BelayError && error.retryable) throw error
      // What one cannot be rid of is no reason to keep the others waiting.
      tell(messageOf(error))
    })
    if (!stopped) stops.push(...all.map((target) => keepTrying(() => target.openEdges())))
  })
  return () => {
    stopped = true
    for (const stop of [stopRemoving, ...stops]) stop()
  }
}

function tell(line: string): void {
  say(`deployer: ${line}`)
}

/** The keeper may not be there yet. Deployments open their edge themselves, so nothing waits for this. */
function keepTrying(work: () => Promise<void>): () => void {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let said = ''
  const attempt = async (): Promise<void> => {
    try {
      await work()
    } catch (error) {
      const again = error instanceof BelayError && error.retryable
      // Tried again every second, and said once.
      if (messageOf(error) !== said) tell(`${messageOf(error)}${again ? '; trying again' : ''}`)
      said = messageOf(error)
      if (again && !stopped) timer = setTimeout(() => void attempt(), openEdgesAgainMs)
    }
  }
  void attempt()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
