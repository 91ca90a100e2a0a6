import { z } from 'zod'
import type { Example, Finding, FoundStep } from './finding.ts'
import type { Tree } from './tree.ts'
import { flowScalar } from './yaml-text.ts'

const Package = z.object({
  scripts: z.record(z.string(), z.unknown()).catch({}),
  packageManager: z.string().optional().catch(undefined),
  engines: z.object({ node: z.string() }).optional().catch(undefined),
  main: z.string().optional().catch(undefined),
})
type Package = z.infer<typeof Package>

export function detectNode(tree: Tree): Finding | undefined {
  if (!tree.has('package.json')) return undefined
  const found = readPackage(tree.read('package.json') ?? '')
  if (found === undefined) return { kind: 'node', why: 'package.json', steps: [], notes: ['it cannot be read'] }
  const manager = managerOf(tree, found)
  const scripts = ['lint', 'build', 'test'].filter((name) => isScript(found, name))
  const steps: FoundStep[] = [
    { id: 'install', why: manager.why, commands: [manager.install] },
    ...scripts.map((name) => ({ id: name, why: `the script of that name${requires(found)}`, commands: [manager.run(name)] })),
    ...(scripts.includes('test') ? [] : ownTests(tree)),
  ]
  const example = deployment(tree, found)
  const notes = steps.some(({ id }) => id === 'test') ? [] : ['tests: none were found']
  return {
    kind: 'node',
    why: `package.json, ${manager.name}, ${scripts.length === 0 ? 'no scripts' : `scripts ${scripts.join(', ')}`}`,
    ...{ steps, notes, ...(example === undefined ? {} : { example }) },
  }
}

function readPackage(text: string): Package | undefined {
  try {
    return Package.safeParse(JSON.parse(text)).data
  } catch {
    // Not JSON: the finding says so.
    return undefined
  }
}

interface Manager {
  name: string
  why: string
  install: string
  run: (script: string) => string
}

/** By the lock file; what none of them locks is installed by npm, which comes with Node. */
function managerOf(tree: Tree, { packageManager = '' }: Package): Manager {
  const run = (name: string) => (script: string) => (name === 'npm' && script === 'test' ? 'npm test' : `${name} run ${script}`)
  const npmLock = ['package-lock.json', 'npm-shrinkwrap.json'].find((file) => tree.has(file))
  if (npmLock !== undefined)
    return { name: 'npm', why: `exactly what ${npmLock} names`, install: 'npm ci --no-audit --no-fund', run: run('npm') }
  if (tree.has('pnpm-lock.yaml')) {
    const why = 'exactly what pnpm-lock.yaml names; pnpm must be on the PATH of the runner'
    return { name: 'pnpm', why, install: 'pnpm install --frozen-lockfile', run: run('pnpm') }
  }
  if (tree.has('yarn.lock')) {
    const isNew = tree.has('.yarnrc.yml') || /^yarn@[2-9]/.test(packageManager)
    const why = 'exactly what yarn.lock names; yarn must be on the PATH of the runner'
    return { name: 'yarn', why, install: `yarn install ${isNew ? '--immutable' : '--frozen-lockfile'}`, run: run('yarn') }
  }
  const why = 'there is no lock file: the newest versions that fit'
  return { name: 'npm', why, install: 'npm install --no-audit --no-fund', run: run('npm') }
}

/** npm writes a test script that fails into every new package. */
function isScript({ scripts }: Package, name: string): boolean {
  const script = Object.hasOwn(scripts, name) ? scripts[name] : undefined
  return typeof script === 'string' && script.trim() !== '' && !script.includes('no test specified')
}

function requires({ engines }: Package): string {
  return engines === undefined ? '' : `; the package asks for Node ${engines.node}`
}

function ownTests(tree: Tree): FoundStep[] {
  const files = tree.list('{test/**/*,**/*.test,**/*-test,**/*_test,test,test-*,**/test-*}.{js,mjs,cjs}')
  if (files.length === 0) return []
  return [{ id: 'test', why: 'no test script, but tests: by what comes with Node', commands: ['node --test'] }]
}

/** Of a service that starts a file of its own with `node`. */
function deployment(tree: Tree, { scripts, main }: Package): Example | undefined {
  const start = Object.hasOwn(scripts, 'start') ? scripts['start'] : undefined
  const named =
    typeof start === 'string' ? /^node (?:--\S+ )*([^\s;&|<>$`'"\\-][^\s;&|<>$`'"\\]*)$/.exec(start.trim())?.[1] : undefined
  const file = named?.replace(/^\.\//, '')
  if (start === undefined || file === undefined || file.startsWith('/') || file.split('/').includes('..')) return undefined
  const top = file.includes('/') ? `${file.split('/')[0] ?? ''}/` : file
  const all = [...new Set([top, 'package.json', ...(main?.startsWith('lib/') === true && tree.has(main) ? ['lib/'] : [])])]
  const files = all.map((path) => `${flowScalar(path)}: ${flowScalar(`/app/${path.replace(/\/$/, '')}`)}`)
  return {
    why: 'To deploy it: name an environment in belay.config.yml, and take these lines in; node_modules/ too, if it needs them.',
    text: `pack_app:
  build_image:
    builder: pack
    repository: app
    files: { ${files.join(', ')} }
    entrypoint: [node, ${flowScalar(`/app/${file}`)}]
deploy_app:
  deploy: { environment: production, health: { http: /healthz } }
`,
  }
}
