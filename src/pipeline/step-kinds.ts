import type { StepKind } from '../domain/plan.ts'
import type { StepBody, StepSpec } from './document.ts'
import { findNearestWord } from './nearest-word.ts'
import type { KeyPath, Places, Problem } from './problem.ts'
import { problemAtKey } from './problem.ts'

/** `script` and `run` are what others call `commands`. */
const kindOfKey: Readonly<Record<string, StepKind>> = {
  commands: 'commands',
  script: 'commands',
  run: 'commands',
  build_image: 'build_image',
  release: 'release',
  deploy: 'deploy',
}

/** Kinds of the language that are refused as "not yet": naming one is no lack of a kind. */
const laterKinds = ['approval', 'wait', 'window', 'lock', 'quality', 'trigger', 'notify', 'check', 'extends']

/** The kind of a step by its keys; undefined if there is none, or more than one. */
export function kindOf(step: object): StepKind | undefined {
  const keys = kindKeysOf(step)
  return keys.length === 1 && keys[0] !== undefined ? kindOfKey[keys[0]] : undefined
}

/** Exactly one kind, and no key that means nothing to it. */
export function checkKind(places: Places, path: KeyPath, step: object): Problem[] {
  const [first, ...others] = kindKeysOf(step)
  const label = `step "${String(path.at(-1))}"`
  if (first === undefined) {
    // A kind of the language, or one misspelt, has its own problem already.
    const meant = Object.keys(step).slice(0, 50)
    if (meant.some((key) => laterKinds.includes(key) || findNearestWord(key, Object.keys(kindOfKey)) !== undefined)) return []
    const hint = 'say one of commands, build_image, release, deploy'
    return [problemAtKey(places, path, { code: 'no_kind', message: `${label} does nothing`, hint })]
  }
  const several = others.map((key) => {
    const same = kindOfKey[key] === kindOfKey[first]
    const hint = same ? 'put all lines under `commands`' : 'make two steps of it'
    return problemAtKey(places, [...path, key], { code: 'several_kinds', message: `${label} has ${first} and ${key}`, hint })
  })
  const kind = kindOf(step)
  return kind === undefined || kind === 'commands' ? several : [...several, ...checkKeys({ places, path, step, kind })]
}

/** What is left once `checkKind` had nothing to say. */
export function bodyOf(spec: StepSpec): StepBody | undefined {
  const lines = spec.commands ?? spec.script ?? spec.run
  if (lines !== undefined) return { kind: 'commands', lines }
  if (spec.build_image !== undefined) return { kind: 'build_image', buildImage: spec.build_image }
  if (spec.release !== undefined) return { kind: 'release', release: spec.release }
  return spec.deploy === undefined ? undefined : { kind: 'deploy', deploy: spec.deploy }
}

const commandsOnly: Readonly<Record<string, string>> = {
  env: 'variables belong to `commands`; those of an environment are the operator’s',
  artifacts: 'artifacts are files that `commands` leave behind',
  checkpoint: 'only `commands` change the workspace',
  undo: '`deploy` brings its own way back, and the others change nothing outside',
  shell: 'only `commands` have a shell',
  working_directory: 'only `commands` have a working directory',
}

function checkKeys({ places, path, step, kind }: { places: Places; path: KeyPath; step: object; kind: StepKind }): Problem[] {
  const misplaced = Object.keys(commandsOnly).filter((key) => Object.hasOwn(step, key))
  const problems = misplaced.map((key) =>
    problemAtKey(places, [...path, key], {
      code: 'misplaced_key',
      message: `"${key}" means nothing to a ${kind} step`,
      hint: commandsOnly[key],
    }),
  )
  const retry: unknown = 'retry' in step ? step.retry : undefined
  if (typeof retry === 'object' && retry !== null && 'exit_codes' in retry) {
    const message = `"exit_codes" means nothing to a ${kind} step`
    problems.push(
      problemAtKey(places, [...path, 'retry', 'exit_codes'], {
        code: 'misplaced_key',
        message,
        hint: 'only commands have exit codes',
      }),
    )
  }
  return problems
}

function kindKeysOf(step: object): string[] {
  return Object.keys(step).filter((key) => Object.hasOwn(kindOfKey, key))
}
