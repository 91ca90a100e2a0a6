import { matchesGlob, refuseGlob } from '../../pipeline/branch-glob.ts'
import { moreThanTaken, mostTaken, shellFor, takeEnv, takeLines, type CiDialect } from './ci-lines.ts'
import { inOrder } from './ci-order.ts'
import { entriesIn, mapIn, readYaml, textIn, textsIn, type Yaml } from './ci-yaml.ts'
import type { Finding, FoundStep } from './finding.ts'
import type { Tree } from './tree.ts'

const dialect: CiDialect = {
  own: /^(?:CI_|DRONE_)/,
  equal: { CI_COMMIT_SHA: 'BELAY_SHA', CI_COMMIT_BRANCH: 'BELAY_BRANCH', CI_WORKSPACE: 'BELAY_WORKSPACE' },
}

/** `.woodpecker.yml` or the files of `.woodpecker/`: the commands of the steps that a push to this branch starts. */
export function detectWoodpecker(tree: Tree, branch: string): Finding | undefined {
  const single = ['.woodpecker.yml', '.woodpecker.yaml'].filter((file) => tree.has(file))
  const files = [...tree.list('.woodpecker/**/*.{yml,yaml}'), ...single].slice(0, mostTaken.files)
  if (files.length === 0) return undefined
  const found: Finding = { kind: 'woodpecker', why: `Woodpecker pipelines: ${files.join(', ')}`, steps: [], notes: [] }
  const read = files.map((file) => {
    const root = mapIn(readYaml(tree.read(file) ?? ''))
    return { file, root, name: file.replace(/^.*\//, '').replace(/\.ya?ml$/, ''), needs: textsIn(root.get('depends_on')) }
  })
  for (const { file, root } of inOrder(read)) {
    const refusal = root.size === 0 ? 'cannot be read' : refuseWhen(root.get('when'), branch)
    if (refusal !== undefined) {
      found.notes.push(`${file}: ${refusal}`)
      continue
    }
    for (const key of ['services', 'matrix', 'labels']) if (root.has(key)) found.notes.push(`${file}: ${key}`)
    const written = namedSteps(root.get('steps') ?? root.get('pipeline'))
    found.notes.push(...moreThanTaken(written.length, `${file}: steps`))
    for (const { name, step } of inOrder(written.slice(0, mostTaken.jobs))) {
      const { taken, notes } = takeStep({ file, name, step, branch, hasServices: root.has('services') })
      if (taken !== undefined) found.steps.push(taken)
      found.notes.push(...notes.map((note) => `${file}, step ${name}: ${note}`))
    }
  }
  return found
}

interface Named {
  name: string
  step: ReadonlyMap<unknown, Yaml>
  needs: string[]
}

/** A map of steps, or a list of steps with names. */
function namedSteps(steps: Yaml | undefined): Named[] {
  const pairs: [string, Yaml][] = Array.isArray(steps)
    ? steps.map((step, index) => [textIn(mapIn(step).get('name')) ?? `step ${String(index + 1)}`, step])
    : entriesIn(steps)
  return pairs.map(([name, step]) => ({ name, step: mapIn(step), needs: textsIn(mapIn(step).get('depends_on')) }))
}

interface Step {
  file: string
  name: string
  step: ReadonlyMap<unknown, Yaml>
  branch: string
  hasServices: boolean
}

function takeStep({ file, name, step, branch, hasServices }: Step): { taken?: FoundStep; notes: string[] } {
  const lines = textsIn(step.get('commands'))
  if (lines.length === 0) return { notes: [`plugin ${textIn(step.get('image')) ?? ''}`] }
  const environment = step.get('environment')
  const pairs = Array.isArray(environment) ? textsIn(environment).map(pairOf) : entriesIn(environment)
  const { env, left } = takeEnv(pairs)
  const key = ['secrets', 'failure', 'entrypoint', 'directory', 'detach'].find((word) => step.has(word))
  const refusal = refuseWhen(step.get('when'), branch) ?? key ?? (hasServices ? 'may need the services' : undefined)
  if (refusal !== undefined) return { notes: [refusal] }
  // There `${X}` is replaced before the shell sees it, and `$$` stands for one dollar.
  const { commands, notes } = takeLines(
    lines.map((line) => (line.includes('$$') ? `\0${line}` : line)),
    dialect,
  )
  const all = [...notes, ...left.map((variable) => `variable ${variable}`)]
  if (commands.length === 0) return { notes: all }
  const taken: FoundStep = { id: name, why: `${file}, step ${name}`, commands, ...shellFor(commands) }
  return { taken: Object.keys(env).length === 0 ? taken : { ...taken, env }, notes: all }
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=')
  return at === -1 ? [text, '$'] : [text.slice(0, at), text.slice(at + 1)]
}

/** Why a push to the branch does not start it. A list is "any of", a map "all of". */
function refuseWhen(when: Yaml | undefined, branch: string): string | undefined {
  if (when === undefined) return undefined
  const reasons = (Array.isArray(when) ? when : [when]).map((item) => refuseOne(mapIn(item), branch))
  return reasons.includes(undefined) ? undefined : reasons[0]
}

function refuseOne(when: ReadonlyMap<unknown, Yaml>, branch: string): string | undefined {
  const other = [...when.keys()].find((key) => key !== 'event' && key !== 'branch')
  if (other !== undefined) return `when: ${typeof other === 'string' ? other : 'something else'}`
  const events = textsIn(when.get('event'))
  if (events.length > 0 && !events.includes('push')) return `when: event ${events.join(', ')}`
  const branches = when.get('branch') instanceof Map ? undefined : textsIn(when.get('branch'))
  if (branches === undefined) return 'when: branches that cannot be decided here'
  const matches = branches.some((glob) => refuseGlob(glob) === undefined && matchesGlob(branch, glob))
  return branches.length > 0 && !matches ? `when: branch ${branches.join(', ')}` : undefined
}
