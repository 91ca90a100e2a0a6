/**
 * Bundles the workflow code for Temporal's sandbox at build time, which takes seconds; a worker then starts with it in
 * a third of a second. Run by `npm run build`; does nothing if no input has changed.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeFileDurably } from '../process/durable-file.ts'

/** The bundle that workers load. Run from the sources, as tests are, it is the one of the last build. */
export function workflowBundlePath(): string {
  return join(distDirectory(), 'workflow-bundle.js')
}

/** Returns false if there was nothing to do. */
export async function buildWorkflowBundle(): Promise<boolean> {
  const bundle = workflowBundlePath()
  const stamp = `${bundle}.inputs`
  const inputs = digestInputs()
  if (existsSync(bundle) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return false
  const { bundleWorkflowCode, DefaultLogger } = await import('@temporalio/worker')
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(distDirectory(), 'src/workflows/index.js'),
    logger: new DefaultLogger('WARN'),
  })
  writeFileDurably(bundle, code, 0o644)
  writeFileDurably(stamp, inputs, 0o644)
  return true
}

function distDirectory(): string {
  const here = fileURLToPath(import.meta.url)
  return here.endsWith('.ts') ? join(here, '../../../dist') : join(here, '../../..')
}

/** What the bundle is made of: the rooms that workflows may import, and the SDK. */
function digestInputs(): string {
  const hash = createHash('sha256')
  const sdk = fileURLToPath(import.meta.resolve('@temporalio/workflow/package.json'))
  for (const file of [...['workflows', 'contract', 'domain'].flatMap(listModules), sdk])
    hash.update(file).update(readFileSync(file))
  return hash.digest('hex')
}

function listModules(room: string): string[] {
  const directory = join(distDirectory(), 'src', room)
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .sort()
    .map((file) => join(directory, file))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = await buildWorkflowBundle()
  process.stdout.write(`workflow bundle: ${built ? 'built' : 'nothing to do'}\n`)
}
