import { z } from 'zod'
import { mostAtOnce } from '../domain/plan.ts'
import { runStatuses } from '../domain/run.ts'
import { triggerEvents } from '../domain/trigger.ts'
import { refuseGlob } from './branch-glob.ts'
import { quote } from './problem.ts'
import {
  argumentName,
  choose,
  duration,
  imagePath,
  listOf,
  mapOf,
  matching,
  oneOf,
  oneOrMore,
  pipelineEnv,
  secretId,
  secretName,
  stepEnv,
  text,
  wholeNumber,
  workspacePath,
  yesOrNo,
  type IssueParams,
} from './schema-values.ts'

/** The shape of a pipeline file: the keys that are carried out. `vocabulary.ts` holds the ones that are not yet. */

const name = matching(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$/, 'a name of letters, digits, blanks, . _ and -')
const stageName = matching(/^[A-Za-z][A-Za-z0-9 _-]{0,62}$/, 'the name of a stage')
const stepName = text('the name of a step')
const branchGlob = text('a branch name or glob').superRefine((glob, context) => {
  const refusal = refuseGlob(glob)
  if (refusal !== undefined) context.addIssue({ code: 'custom', message: refusal })
})

const eventName = oneOf(triggerEvents, ['pull_request', 'merge_request', 'tag', 'schedule', 'trigger', 'watch', 'closed'])
const event = oneOrMore(eventName, 'an event or a list of events').optional()
const branch = oneOrMore(branchGlob, 'a branch glob or a list of them').optional()

/** The states that a run can have once its outcome is known. */
export const finallyStatuses = runStatuses.filter((status) => status !== 'queued' && status !== 'running' && status !== 'skipped')
const status = oneOrMore(oneOf(finallyStatuses), 'a status or a list of them').optional()

function anyOf<Shape extends z.ZodRawShape>(shape: Shape) {
  const alternatives = listOf(mapOf(shape), 'a map (all of) or a list of maps (any of)')
  return z.preprocess((value) => (Array.isArray(value) || value === null || value === undefined ? value : [value]), alternatives)
}

export const When = anyOf({ event, branch })
export type When = z.infer<typeof When>
export const FinallyWhen = anyOf({ event, branch, status })
export type FinallyWhen = z.infer<typeof FinallyWhen>

/** `commands: text` is one line of it. */
const lines = oneOrMore(text('a command'), 'a list of commands')
const shell = oneOf(['sh', 'bash'])
const script = { shell: shell.optional(), working_directory: workspacePath.optional() }

const undo = mapOf({
  commands: lines,
  env: stepEnv.optional(),
  timeout: duration().optional(),
  retry: mapOf({ max: wholeNumber(0, 100) }).optional(),
})

const retry = mapOf({
  max: wholeNumber(0, 10),
  on: listOf(oneOf(['failed', 'errored', 'timed_out']), 'a list of failed, errored, timed_out').optional(),
  exit_codes: listOf(wholeNumber(1, 255), 'a list of exit codes').optional(),
  backoff: duration(0).optional(),
})

const builtImage = {
  repository: matching(
    /^(?=.{1,200}$)[a-z0-9]+(?:[._/-][a-z0-9]+)*$/,
    'a repository like shop/app: small letters and digits, parted by . _ - or /',
  ),
  tags: listOf(text('a tag'), 'a list of tags').optional(),
}

const packImage = mapOf({
  builder: oneOf(['pack']),
  ...builtImage,
  // In the words of the builder, which keeps one image's files in a directory of this name.
  repository: builtImage.repository.superRefine((repository, context) => {
    if (!repository.split('/').slice(1).includes('blobs')) return
    const params: IssueParams = { code: 'invalid_value', hint: 'no part after the first may be "blobs"' }
    context.addIssue({ code: 'custom', message: `${quote(repository)} is not a name for images`, params: { ...params } })
  }),
  files: z
    .record(workspacePath, imagePath, { error: 'a map: path in the workspace → absolute path in the image' })
    .refine((files) => Object.keys(files).length > 0, { error: 'a map of files, not empty' }),
  entrypoint: listOf(text('a word of the command line'), 'a list: program and arguments'),
  user: wholeNumber(0, 999_999_999).optional(),
})

const dockerfileImage = mapOf({
  builder: oneOf(['docker', 'buildah', 'auto'], []).default('auto'),
  ...builtImage,
  context: workspacePath.optional(),
  dockerfile: workspacePath.optional(),
  target: matching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/, 'the name of a stage of the Dockerfile').optional(),
  build_args: z.record(argumentName, text('text'), { error: 'a map of build arguments' }).optional(),
  secrets: z.record(secretId, mapOf({ from_secret: secretName }), { error: 'a map: id → { from_secret: NAME }' }).optional(),
})

/** Which of the two it is, is said by `builder`; so a mistake is told by the keys that this builder has. */
const buildImage = choose((value) => (isPacked(value) ? packImage : dockerfileImage), 'builder', [
  { schema: packImage, words: 'the builder `pack`' },
  { schema: dockerfileImage, words: 'the builders `docker`, `buildah` and `auto`' },
])

/** A builder that there is none of is taken for the one whose keys stand beside it. */
function isPacked(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('builder' in value)) return false
  return value.builder === 'pack' || (!['docker', 'buildah', 'auto'].includes(String(value.builder)) && 'files' in value)
}

const release = mapOf({ from: listOf(stepName, 'a list of steps'), version: text('a version').optional() })

const health = mapOf({
  http: matching(/^\/[\x21-\x7e]{0,500}$/, 'a path like /healthz').optional(),
  interval: duration(100).optional(),
  healthy_after: wholeNumber(1, 100).optional(),
  unhealthy_after: wholeNumber(1, 100).optional(),
  timeout: duration().optional(),
})

const programLine = listOf(text('a word of the command line'), 'a list: program and arguments')

const migrate = mapOf({
  up: programLine,
  down: programLine.optional(),
  reversible: yesOrNo.optional(),
  timeout: duration().optional(),
}).superRefine(({ down, reversible }, context) => {
  if (reversible === true && down === undefined) {
    const message = 'the command that takes it back, as it is said to be reversible'
    context.addIssue({ code: 'invalid_type', expected: 'array', path: ['down'], input: undefined, message })
  }
  if (reversible !== false || down === undefined) return
  const params: IssueParams = { code: 'misplaced_key', hint: 'take `down` out, or `reversible: false`' }
  const message = 'what cannot be taken back has no `down`'
  context.addIssue({ code: 'custom', path: ['down'], message, params: { ...params } })
})

const environmentName = text('the name of an environment')

const deploy = mapOf({
  environment: environmentName.optional(),
  environments: listOf(environmentName, 'a list of environments').optional(),
  at_once: wholeNumber(1, mostAtOnce).optional(),
  strategy: oneOf(['blue_green', 'recreate'], ['rolling', 'canary']).optional(),
  health: health.optional(),
  bake: mapOf({ for: duration(0) }).optional(),
  migrate: migrate.optional(),
}).superRefine(({ environment, environments, at_once: atOnce }, context) => {
  const refuse = (path: (string | number)[], message: string, params: IssueParams): void => {
    context.addIssue({ code: 'custom', path, message, params: { ...params } })
  }
  if (environments === undefined) {
    if (environment === undefined) {
      const message = 'the name of an environment; or `environments` of several'
      context.addIssue({ code: 'invalid_type', expected: 'string', path: ['environment'], input: undefined, message })
    }
    if (atOnce === undefined) return
    const hint = 'say `environments: [a, b]`, or take it out'
    return refuse(['at_once'], '"at_once" is for several `environments`', { code: 'misplaced_key', hint })
  }
  if (environment !== undefined) {
    const hint = 'put all of them under `environments`'
    refuse(['environment'], 'a deployment has either `environment` or `environments`', { code: 'misplaced_key', hint })
  }
  environments.forEach((one, index) => {
    if (environments.indexOf(one) === index) return
    refuse(['environments', index], `the environment ${quote(one)} is there twice`, { code: 'duplicate_key' })
  })
  if (atOnce === undefined || atOnce <= environments.length) return
  const hint = `say 1 to ${String(environments.length)}, or leave it out: then all at once`
  refuse(['at_once'], '"at_once" is more than there are environments', { code: 'invalid_value', hint })
})

export const stepShape = {
  stage: stageName.optional(),
  needs: z.array(stepName, { error: 'a list of steps' }).optional(),
  when: When.optional(),
  timeout: duration().optional(),
  retry: retry.optional(),
  env: stepEnv.optional(),
  artifacts: mapOf({
    paths: listOf(workspacePath, 'a list of paths'),
    exclude: listOf(workspacePath, 'a list of paths').optional(),
  }).optional(),
  undo: undo.optional(),
  checkpoint: yesOrNo.optional(),
  settle: yesOrNo.optional(),
  commands: lines.optional(),
  script: lines.optional(),
  run: lines.optional(),
  ...script,
  build_image: buildImage.optional(),
  release: release.optional(),
  deploy: deploy.optional(),
}
export const StepSchema = mapOf(stepShape)

export const finallyShape = {
  when: FinallyWhen.optional(),
  commands: lines.optional(),
  script: lines.optional(),
  run: lines.optional(),
  env: stepEnv.optional(),
  timeout: duration().optional(),
  ...script,
}
export const FinallySchema = mapOf(finallyShape)

/** What stands around the steps. */
export const headShape = {
  name: name.optional(),
  when: When.optional(),
  timeout: duration().optional(),
  stages: listOf(stageName, 'a list of names').optional(),
  env: pipelineEnv.optional(),
  rollback: mapOf({ timeout: duration() }).optional(),
  steps: z.unknown().optional(),
  finally: z.unknown().optional(),
}
export const HeadSchema = mapOf(headShape)

/** Keys by place in the file, `*` for any id: what suggestions are made from. */
export const knownKeys: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(headShape),
  rollback: ['timeout'],
  when: ['event', 'branch'],
  'steps.*': Object.keys(stepShape).filter((key) => key !== 'script' && key !== 'run'),
  'steps.*.when': ['event', 'branch'],
  'env.*': ['from_secret'],
  'steps.*.undo': Object.keys(undo.shape),
  'steps.*.undo.retry': ['max'],
  'steps.*.retry': Object.keys(retry.shape),
  'steps.*.artifacts': ['paths', 'exclude'],
  'steps.*.build_image': [...new Set([...Object.keys(packImage.shape), ...Object.keys(dockerfileImage.shape)])],
  'steps.*.release': Object.keys(release.shape),
  'steps.*.deploy': Object.keys(deploy.shape),
  'steps.*.deploy.health': Object.keys(health.shape),
  'steps.*.deploy.bake': ['for'],
  'steps.*.deploy.migrate': Object.keys(migrate.shape),
  'finally.*': Object.keys(finallyShape).filter((key) => key !== 'script' && key !== 'run'),
  'finally.*.when': ['event', 'branch', 'status'],
}
