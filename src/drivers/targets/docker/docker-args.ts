/** Command lines of the `docker` program, as data. What we want to read of its output is marked, as warnings come beside it. */

/** Begins each line that was asked for. */
export const mark = 'belay '

export const labels = {
  environment: 'belay.environment',
  digest: 'belay.digest',
  release: 'belay.release',
  slot: 'belay.slot',
  port: 'belay.port',
  address: 'belay.address',
  fence: 'belay.fence',
  image: 'belay.image',
  command: 'belay.command',
} as const

/** Applications are told to listen on it. */
export const containerPort = 8080
/** Nobody, where the image names no user of its own. */
export const nobody = '65534:65534'
export const graceSeconds = 10

interface CommonSpec {
  name: string
  /** HOST/NAME@DIGEST, already on the engine. */
  image: string
  labels: Readonly<Record<string, string>>
  user: string
  memoryBytes?: number
  pids: number
  /** Variables whose values the program takes from its own environment. */
  envNames: readonly string[]
  /** A file of the others. */
  envFile?: string
}

export interface ContainerSpec extends CommonSpec {
  /** IP address and port where the engine publishes it. */
  address: string
  port: number
}

export function createArgs(spec: ContainerSpec): string[] {
  return [
    ...commonArgs(spec),
    ...['--publish', `${hostPart(spec.address)}:${String(spec.port)}:${String(containerPort)}`],
    ...variableArgs(spec),
    ...['--env', `PORT=${String(containerPort)}`, '--', spec.image],
  ]
}

export interface CommandSpec extends CommonSpec {
  /** Program and arguments, instead of the image's own. */
  command: readonly string[]
}

export function createCommandArgs(spec: CommandSpec): string[] {
  const [program = '', ...rest] = spec.command
  return [...commonArgs(spec), ...variableArgs(spec), '--entrypoint', program, '--', spec.image, ...rest]
}

function variableArgs({ envFile, envNames }: CommonSpec): string[] {
  return [...(envFile === undefined ? [] : ['--env-file', envFile]), ...envNames.flatMap((name) => ['--env', name])]
}

function commonArgs(spec: CommonSpec): string[] {
  const { memoryBytes } = spec
  return [
    ...['container', 'create', '--pull', 'never', '--name', spec.name],
    ...pairs('--label', spec.labels),
    // A first process that forwards SIGTERM and reaps: as process 1 most programs would ignore the one and forget the other.
    ...['--init', '--restart', 'no', '--stop-timeout', String(graceSeconds)],
    ...['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--user', spec.user],
    ...(memoryBytes === undefined ? [] : ['--memory', String(memoryBytes), '--memory-swap', String(memoryBytes)]),
    ...['--pids-limit', String(spec.pids)],
    ...['--log-driver', 'json-file', '--log-opt', 'max-size=10m', '--log-opt', 'max-file=2'],
  ]
}

/** An address as it stands before a port. */
export function hostPart(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

export function listArgs(environment: string, field: 'ID' | 'Names'): string[] {
  const filters = labelFilters({ [labels.environment]: environment })
  return ['container', 'ls', '--all', '--no-trunc', ...filters, '--format', `${mark}{{.${field}}}`]
}

/** Ports that containers of Belay have or will have again. */
export function listPortsArgs(): string[] {
  const format = `${mark}{{.Label "${labels.port}"}}`
  return ['container', 'ls', '--all', ...labelFilters({ [labels.environment]: undefined }), '--format', format]
}

/** As much as we need, and never the variables, which may be secrets. */
const inspected = {
  id: '.Id',
  name: '.Name',
  labels: '.Config.Labels',
  state: '.State.Status',
  running: '.State.Running',
  exitCode: '.State.ExitCode',
  overMemory: '.State.OOMKilled',
  fault: '.State.Error',
  memoryBytes: '.HostConfig.Memory',
  restarts: '.RestartCount',
  createdAt: '.Created',
} as const

export function inspectArgs(ids: readonly string[]): string[] {
  const fields = Object.entries(inspected).map(([name, value]) => `"${name}":{{json ${value}}}`)
  return ['container', 'inspect', '--format', `${mark}{${fields.join(',')}}`, '--', ...ids]
}

/** Containers of commands, by the name of their place. */
export function listCommandsArgs(environment: string): string[] {
  return ['container', 'ls', '--all', ...labelFilters({ [labels.command]: environment }), '--format', `${mark}{{.Names}}`]
}

export function inspectCommandArgs(name: string): string[] {
  const { state, running, exitCode, overMemory, fault, memoryBytes } = inspected
  const fields = Object.entries({ state, running, exitCode, overMemory, fault, memoryBytes })
  const format = fields.map(([field, value]) => `"${field}":{{json ${value}}}`).join(',')
  return ['container', 'inspect', '--format', `${mark}{${format}}`, '--', name]
}

export function renameArgs(from: string, to: string): string[] {
  return ['container', 'rename', from, to]
}

export function startArgs(name: string): string[] {
  return ['container', 'start', '--', name]
}

/**
 * `always`: it comes back after a death and after a restart of the engine. Not `unless-stopped`: an engine that was killed stops,
 * when it is back, what has outlived it, takes that for somebody's wish, and leaves it stopped.
 */
export function restartArgs(nameOrId: string, policy: 'always' | 'no'): string[] {
  return ['container', 'update', '--restart', policy, '--', nameOrId]
}

export function stopArgs(id: string): string[] {
  return ['container', 'stop', '--time', String(graceSeconds), '--', id]
}

/** With the anonymous volumes of its image. */
export function removeArgs(nameOrId: string): string[] {
  return ['container', 'rm', '--force', '--volumes', '--', nameOrId]
}

export function logsArgs(id: string, lines: number | 'all'): string[] {
  return ['container', 'logs', '--tail', String(lines), '--', id]
}

/** A tar of that one file, or of the one that it is a link to, to stdout. */
export function copyOutArgs(name: string, path: string): string[] {
  return ['container', 'cp', '--follow-link', '--', `${name}:${path}`, '-']
}

export function pullArgs(image: string): string[] {
  return ['image', 'pull', '--quiet', '--', image]
}

export function inspectImageArgs(image: string): string[] {
  const format = `${mark}{"digests":{{json .RepoDigests}},"user":{{json .Config.User}}}`
  return ['image', 'inspect', '--format', format, '--', image]
}

export function removeImageArgs(image: string): string[] {
  return ['image', 'rm', '--', image]
}

export function createVolumeArgs(name: string, volumeLabels: Readonly<Record<string, string>>): string[] {
  return ['volume', 'create', ...pairs('--label', volumeLabels), '--', name]
}

export function listVolumesArgs(filters: Readonly<Record<string, string | undefined>>): string[] {
  return ['volume', 'ls', ...labelFilters(filters), '--format', `${mark}{{.Name}}`]
}

export function listImageVolumesArgs(): string[] {
  const field = (name: string): string => `{{.Label "${name}"}}`
  const format = [mark + '{{.Name}}', field(labels.environment), field(labels.fence), field(labels.image)].join(' ')
  return ['volume', 'ls', ...labelFilters({ [labels.image]: undefined }), '--format', format]
}

export function removeVolumesArgs(names: readonly string[]): string[] {
  return ['volume', 'rm', '--', ...names]
}

function pairs(option: string, values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([key, value]) => [option, `${key}=${value}`])
}

/** Undefined: any value. */
function labelFilters(filters: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(filters).flatMap(([key, value]) => [
    '--filter',
    value === undefined ? `label=${key}` : `label=${key}=${value}`,
  ])
}
