/** Who may import whom, and which npm packages each room may use. docs/architecture.md says why. */

interface Room {
  /** Rooms and folders whose code it may run. Regular expressions for paths below the top of the repository. */
  uses: readonly string[]
  /** What it may mention in types only. */
  mentions?: readonly string[]
  /** npm packages. */
  packages: readonly string[]
  /** Node's own modules: all of them unless said. */
  builtins?: readonly string[]
}

const temporal = [
  '@temporalio/activity',
  '@temporalio/client',
  '@temporalio/common',
  '@temporalio/worker',
  '@temporalio/workflow',
]
const anything = ['^src/', '^workers/']
/** A port's interface and its registry, `drivers/forges/forge.ts` and `drivers/forges/index.ts`: never a driver itself. */
const portsAndRegistries = (...ports: string[]) => ports.map((port) => `^src/drivers/${port}/[^/]+[.]ts$`)

export const rooms: Readonly<Record<string, Room>> = {
  domain: { uses: [], packages: ['zod', 'croner'], builtins: [] },
  pipeline: { uses: ['^src/domain/'], packages: ['yaml', 'zod', 'picomatch'], builtins: ['crypto'] },
  contract: { uses: ['^src/domain/'], packages: ['zod', '@temporalio/common'], builtins: [] },
  workflows: {
    uses: ['^src/contract/', '^src/domain/'],
    mentions: anything,
    packages: ['@temporalio/workflow', '@temporalio/common'],
    builtins: [],
  },
  activities: {
    uses: ['^src/(contract|domain|pipeline|store|runner|process)/', ...portsAndRegistries('[^/]+')],
    packages: ['@temporalio/activity', '@temporalio/client', '@temporalio/common'],
  },
  store: { uses: ['^src/(domain|process)/'], packages: ['kysely', 'libsql', 'pg', 'zod'] },
  api: { uses: ['^src/domain/'], packages: ['zod'], builtins: [] },
  server: {
    uses: [
      '^src/(api|contract|domain|pipeline|store|config|process|payloads)/',
      ...portsAndRegistries('forges', 'notifiers', 'secrets'),
    ],
    mentions: ['^src/workflows/'],
    packages: ['fastify', 'fastify-type-provider-zod', 'zod', 'pino', '@temporalio/client', '@temporalio/common'],
  },
  runner: {
    uses: ['^src/(contract|domain|process|registry)/', ...portsAndRegistries('isolation', 'builders')],
    packages: ['picomatch', 'tar-stream', 'zod', '@temporalio/common'],
  },
  embedded: {
    // The keeper owns the edges.
    uses: ['^src/(domain|config|process)/', ...portsAndRegistries('edges')],
    packages: ['@temporalio/client', '@temporalio/worker', 'zod'],
  },
  cli: { uses: ['^src/(api|domain|pipeline|config|process|payloads)/'], packages: ['commander', 'pino', 'zod', 'yaml'] },
  config: { uses: ['^src/(domain|process|payloads)/'], packages: ['yaml', 'zod'] },
  process: { uses: ['^src/domain/'], packages: ['execa', 'libsql'] },
  registry: { uses: ['^src/domain/'], packages: ['zod'] },
  payloads: { uses: ['^src/domain/'], packages: ['@temporalio/common'] },
}

/** Commands of the CLI that start parts of Belay in this process or beside it; they may also use what is below. */
export const startingCommands = {
  from: '^src/cli/(up|server|worker|exec|doctor|part)[-./]',
  uses: ['^src/embedded/', '^workers/'],
}

export const drivers = {
  /** `$1` is the port, `$2` the driver: never a sibling, and never the registry that lists it. */
  uses: ['^src/domain/', '^src/process/', '^src/registry/', '^src/drivers/$1/$2/', '^src/drivers/$1/(?!index[.])[^/]+[.]ts$'],
  mentions: ['^src/contract/', '^src/drivers/edges/edge[.]ts$'],
  packages: ['tar-stream', 'picomatch', 'zod', 'httpxy'],
}

/** Ports hold interfaces; a registry lists the drivers of its own port. */
export const ports = {
  uses: ['^src/domain/', '^src/process/', '^src/registry/', '^src/drivers/$1/'],
  /** A target's instances are what an edge sends traffic to. */
  mentions: ['^src/contract/', '^src/drivers/edges/edge[.]ts$'],
}

export const workers = { packages: [...temporal, 'pino'] }
