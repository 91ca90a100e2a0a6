import { matchesGlob, refuseGlob } from '../../pipeline/branch-glob.ts'
import { moreThanTaken, mostTaken, shellFor, takeEnv, takeLines, type CiDialect } from './ci-lines.ts'
import { inOrder } from './ci-order.ts'
import { entriesIn, mapIn, readYaml, textIn, textsIn, type Yaml } from './ci-yaml.ts'
import type { Finding, FoundStep } from './finding.ts'
import type { Tree } from './tree.ts'

const dialect: CiDialect = {
  own: /^(?:GITHUB|RUNNER|ACTIONS)_/,
  equal: { GITHUB_SHA: 'BELAY_SHA', GITHUB_REF_NAME: 'BELAY_BRANCH', GITHUB_WORKSPACE: 'BELAY_WORKSPACE' },
}

/** `.github/workflows`: the `run` lines of the jobs that a push to this branch starts. */
export function detectGithub(tree: Tree, branch: string): Finding | undefined {
  const files = tree.list('.github/workflows/*.{yml,yaml}').slice(0, mostTaken.files)
  if (files.length === 0) return undefined
  const steps: FoundStep[] = []
  const notes: string[] = []
  for (const file of files) {
    const root = readYaml(tree.read(file) ?? '')
    const refusal = root === undefined ? 'cannot be read' : refuseTrigger(mapIn(root).get('on'), branch)
    if (root === undefined || refusal !== undefined) {
      notes.push(`${file}: ${refusal ?? ''}`)
      continue
    }
    const taken = takeWorkflow(file, root)
    steps.push(...taken.steps)
    notes.push(...taken.notes)
  }
  return { kind: 'github', why: `GitHub workflows: ${files.join(', ')}`, steps, notes }
}

/** Why a push to the branch does not start it. */
function refuseTrigger(on: Yaml | undefined, branch: string): string | undefined {
  const names = on instanceof Map ? [...on.keys()] : textsIn(on)
  if (!names.includes('push')) return 'starts on something else than a push'
  const push = mapIn(mapIn(on).get('push'))
  const branches = textsIn(push.get('branches'))
  if (branches.length === 0 && push.has('tags')) return 'starts on tags only'
  const isIn = (globs: readonly string[]) => globs.some((glob) => refuseGlob(glob) === undefined && matchesGlob(branch, glob))
  if (branches.length > 0 && !isIn(branches)) return `does not start on pushes to ${branch}`
  if (isIn(textsIn(push.get('branches-ignore')))) return `does not start on pushes to ${branch}`
  return undefined
}

interface Taken {
  steps: FoundStep[]
  notes: string[]
}

function takeWorkflow(file: string, root: Yaml): Taken {
  const workflow = mapIn(root)
  const all = entriesIn(workflow.get('jobs'))
  const jobs = all.slice(0, mostTaken.jobs)
  const ordered = inOrder(jobs.map(([name, job]) => ({ name, job, needs: textsIn(mapIn(job).get('needs')) })))
  const taken = ordered.map(({ name, job }) => takeJob({ file, name, job: mapIn(job), workflow }))
  return {
    steps: taken.flatMap(({ steps }) => steps),
    notes: [...taken.flatMap(({ notes }) => notes), ...moreThanTaken(all.length, `${file}: jobs`)],
  }
}

interface Job {
  file: string
  name: string
  job: ReadonlyMap<unknown, Yaml>
  workflow: ReadonlyMap<unknown, Yaml>
}

function takeJob({ file, name, job, workflow }: Job): Taken {
  const place = `${file}, job ${name}`
  const refusal = refuseJob(job)
  if (refusal !== undefined) return { steps: [], notes: [`${place}: ${refusal}`] }
  const notes = ['container', 'strategy'].filter((key) => job.has(key)).map((key) => `${place}: ${key}`)
  const defaults = [workflow, job].map((level) => mapIn(mapIn(level.get('defaults')).get('run')))
  const groups: Group[] = []
  for (const item of arrayIn(job.get('steps'))) {
    const step = mapIn(item)
    const said = textIn(step.get('name')) ?? textIn(step.get('run'))?.split('\n')[0] ?? ''
    const leave = (why: string) => void notes.push(`${place}: ${why}`)
    const uses = textIn(step.get('uses'))
    if (uses !== undefined) {
      if (!uses.startsWith('actions/checkout@')) leave(`uses ${uses}`)
      continue
    }
    const run = textIn(step.get('run'))
    if (run === undefined) continue
    const condition = ['if', 'continue-on-error'].find((key) => step.has(key))
    const shell = firstText('shell', [step, ...defaults.toReversed()])
    const directory = firstText('working-directory', [step, ...defaults.toReversed()])
    if (condition !== undefined) leave(`${condition} of the step ${said}`)
    else if (shell !== undefined && shell !== 'bash' && shell !== 'sh') leave(`shell ${shell} of the step ${said}`)
    else if (directory !== undefined && !isInside(directory)) leave(`working-directory ${directory}`)
    else {
      const { commands, notes: lineNotes } = takeLines([run], dialect)
      const { env, left } = takeEnv([workflow, job, step].flatMap((level) => entriesIn(level.get('env'))))
      for (const note of [...lineNotes, ...left.map((variable) => `variable ${variable}`)]) leave(note)
      if (commands.length > 0) addTo(groups, { commands, env, directory, shell })
    }
  }
  const steps = groups.map(({ commands, env, directory, shell }): FoundStep => ({
    id: name,
    why: place,
    commands,
    ...(shell === 'bash' ? { shell } : shellFor(commands)),
    ...(directory === undefined ? {} : { directory }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
  }))
  return { steps, notes: [...new Set(notes)] }
}

function refuseJob(job: ReadonlyMap<unknown, Yaml>): string | undefined {
  if (job.has('uses')) return `uses ${textIn(job.get('uses')) ?? 'another workflow'}`
  const key = ['if', 'services', 'continue-on-error', 'environment'].find((word) => job.has(word))
  if (key !== undefined) return key
  const runsOn = textsIn(job.get('runs-on')).join(' ')
  return /windows|macos/i.test(runsOn) ? `runs on ${runsOn}` : undefined
}

interface Group {
  commands: string[]
  env: Record<string, string>
  directory: string | undefined
  shell: string | undefined
}

/** What one shell would leave to the next is lost there: such lines end their step here. */
const leaves = /(?:^|[\s;&|(])(?:cd|pushd|export|set|shopt|exit|exec|trap|umask|source|\.)\s|^[ \t]*\w+=\S*[ \t]*$/m

/** Goes on with the last group if the shell is the same for both. */
function addTo(groups: Group[], next: Group): void {
  const last = groups.at(-1)
  const settings = ({ env, directory, shell }: Group) => JSON.stringify([env, directory, shell])
  if (last === undefined || settings(last) !== settings(next) || last.commands.some((line) => leaves.test(line)))
    groups.push(next)
  else last.commands.push(...next.commands)
}

function firstText(key: string, levels: readonly ReadonlyMap<unknown, Yaml>[]): string | undefined {
  return levels.map((level) => textIn(level.get(key))).find((text) => text !== undefined)
}

function arrayIn(value: Yaml | undefined): readonly Yaml[] {
  return Array.isArray(value) ? value : []
}

/** What `working_directory` takes. */
export function isInside(directory: string): boolean {
  return !/[\\\0]|^\/|\$/.test(directory) && !directory.split('/').includes('..') && directory.length <= 1000
}
