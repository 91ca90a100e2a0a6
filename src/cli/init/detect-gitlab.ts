import { refuseGitlabJob } from './gitlab-rules.ts'
import { moreThanTaken, mostTaken, shellFor, takeEnv, takeLines, type CiDialect } from './ci-lines.ts'
import { inOrder } from './ci-order.ts'
import { entriesIn, mapIn, readYaml, textIn, textsIn, type Yaml } from './ci-yaml.ts'
import type { Finding, FoundStep } from './finding.ts'
import type { Tree } from './tree.ts'

const file = '.gitlab-ci.yml'

const dialect: CiDialect = {
  own: /^(?:CI_|GITLAB_)/,
  equal: {
    CI_COMMIT_SHA: 'BELAY_SHA',
    CI_COMMIT_BRANCH: 'BELAY_BRANCH',
    CI_COMMIT_REF_NAME: 'BELAY_BRANCH',
    CI_PROJECT_DIR: 'BELAY_WORKSPACE',
  },
}

const notJobs = new Set(
  'image services stages types before_script after_script variables cache include workflow default spec pages:deploy'.split(' '),
)
const usualStages = ['build', 'test', 'deploy']

/** `.gitlab-ci.yml`: the script lines of the jobs that a push to this branch starts, stage by stage. */
export function detectGitlab(tree: Tree, branch: string): Finding | undefined {
  if (!tree.has(file)) return undefined
  const found: Finding = { kind: 'gitlab', why: file, steps: [], notes: [] }
  const root = readYaml(tree.read(file) ?? '')
  if (root === undefined) return { ...found, notes: ['it cannot be read'] }
  const all = mapIn(root)
  for (const key of ['include', 'services', 'cache', 'after_script', 'workflow']) if (all.has(key)) found.notes.push(key)
  const templates = new Map(entriesIn(root))
  const jobs = entriesIn(root).filter(([name, value]) => value instanceof Map && !notJobs.has(name) && !name.startsWith('.'))
  found.notes.push(...moreThanTaken(jobs.length, 'jobs'))
  const said = textsIn(all.get('stages'))
  const stages = ['.pre', ...(said.length > 0 ? said : usualStages), '.post']
  const placed = jobs.slice(0, mostTaken.jobs).map(([name, own]) => {
    const job = unfold(mapIn(own), templates, 0)
    const stage = stages.indexOf(textIn(job?.get('stage')) ?? 'test')
    return { name, job, stage, needs: job === undefined ? [] : needsOf(job) }
  })
  for (const { name, job } of inOrder(placed.toSorted((a, b) => a.stage - b.stage))) {
    const refusal = job === undefined ? 'extends something that is not here' : refuseGitlabJob(job, branch)
    if (job === undefined || refusal !== undefined) {
      found.notes.push(`job ${name}: ${refusal ?? ''}`)
      continue
    }
    const { step, notes } = takeJob({ name, job, all })
    if (step !== undefined) found.steps.push(step)
    found.notes.push(...notes.map((note) => `job ${name}: ${note}`))
  }
  return found
}

type JobMap = ReadonlyMap<unknown, Yaml>

/** `extends`: maps merge, everything else replaces; undefined if what is named is not in this file. */
function unfold(job: JobMap, templates: ReadonlyMap<string, Yaml>, depth: number): JobMap | undefined {
  const bases = textsIn(job.get('extends'))
  if (bases.length === 0) return job
  if (depth === 10 || bases.length > 10) return undefined
  let whole: JobMap = new Map()
  for (const name of bases) {
    const base = templates.get(name)
    const unfolded = base instanceof Map ? unfold(base, templates, depth + 1) : undefined
    if (unfolded === undefined) return undefined
    whole = merge(whole, unfolded)
  }
  return merge(whole, job)
}

function merge(below: JobMap, above: JobMap): JobMap {
  const merged = new Map(below)
  for (const [key, value] of above) {
    const old = merged.get(key)
    merged.set(key, old instanceof Map && value instanceof Map ? new Map([...old, ...value]) : value)
  }
  return merged
}

function needsOf(job: JobMap): string[] {
  const needs = job.get('needs')
  const maps = Array.isArray(needs) ? needs.flatMap((need) => textIn(mapIn(need).get('job')) ?? []) : []
  return [...textsIn(needs), ...maps]
}

interface Job {
  name: string
  job: JobMap
  all: JobMap
}

function takeJob({ name, job, all }: Job): { step: FoundStep | undefined; notes: string[] } {
  const notes = ['image', 'cache', 'artifacts', 'retry', 'parallel', 'after_script', 'coverage', 'tags'].filter((key) =>
    job.has(key),
  )
  const defaults = mapIn(all.get('default'))
  const before = [job, defaults, all].map((level) => level.get('before_script')).find((value) => value !== undefined)
  const { commands, notes: left } = takeLines([...textsIn(before), ...textsIn(job.get('script'))], dialect)
  const variables = [...entriesIn(all.get('variables')), ...entriesIn(job.get('variables'))]
  const { env, left: lost } = takeEnv(variables.map(([key, value]) => [key, value instanceof Map ? value.get('value') : value]))
  notes.push(...left, ...new Set(lost.map((variable) => `variable ${variable}`)))
  if (commands.length === 0) return { step: undefined, notes: [...notes, 'has no lines that can run here'] }
  const step: FoundStep = {
    id: name,
    why: `${file}, job ${name}`,
    commands,
    ...shellFor(commands),
    ...(Object.keys(env).length === 0 ? {} : { env }),
  }
  return { step, notes }
}
