import { z } from 'zod'
import type { EnvValue } from '../domain/plan.ts'
import { suggestWord } from './nearest-word.ts'
import type { ProblemCode } from './problem.ts'
import { quote } from './problem.ts'

/**
 * The values of a pipeline file. Leaves arrive as text or null (`yaml-tree.ts`), and leave parsed: durations in ms,
 * numbers as numbers. The error text of each schema completes the sentence "… must be".
 */

export function text(expected: string) {
  return z
    .string({ error: expected })
    .min(1, { error: expected })
    .refine((value) => !value.includes('\0'), { error: 'text without a NUL character' })
}

export function matching(pattern: RegExp, expected: string) {
  return text(expected).regex(pattern, { error: expected })
}

export function listOf<T extends z.ZodType>(item: T, expected: string) {
  return z.array(item, { error: expected }).min(1, { error: `${expected}, not empty` })
}

/** One text is a list of one. */
export function oneOrMore<T extends z.ZodType>(item: T, expected: string) {
  return z.preprocess((value) => (typeof value === 'string' ? [value] : value), listOf(item, expected))
}

export function mapOf<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, { error: 'a map' })
}

export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`
  return z
    .string({ error: expected })
    .regex(/^\d{1,9}$/, { error: expected })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: expected })
}

export const yesOrNo = z.enum(['true', 'false'], { error: 'true or false' }).transform((value) => value === 'true')

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** Timers of Node hold 24 days; a week is enough for a step. */
const longestMs = 7 * 86_400_000

/** `90s`, `1h30m`, `250ms` → ms. */
export function duration(minMs = 1) {
  const expected = `a duration like 30s, 5m or 1h30m, ${minMs > 0 ? 'above 0 and ' : ''}at most 7d`
  return z
    .string({ error: expected })
    .regex(/^(?:\d{1,9}(?:ms|s|m|h|d)){1,5}$|^0$/, { error: expected })
    .transform((value) => {
      const parts = [...value.matchAll(/(\d+)(ms|s|m|h|d)/g)]
      return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ''] ?? 0), 0)
    })
    .refine((ms) => ms >= minMs && ms <= longestMs, { error: expected })
}

/** Of several maps the one that the value asks for. A key that only another one knows is told as misplaced, not as unknown. */
export function choose<Schema extends z.ZodObject>(
  pick: (value: unknown) => Schema,
  by: string,
  all: readonly { schema: z.ZodObject; words: string }[],
) {
  return z.unknown().transform((value, context): z.output<Schema> => {
    const schema = pick(value)
    const result = schema.safeParse(value, { reportInput: true })
    if (result.success) return result.data
    for (const issue of result.error.issues) {
      if (issue.code !== 'unrecognized_keys') {
        context.issues.push({ ...issue } as z.core.$ZodRawIssue)
        continue
      }
      const foreign = (key: string) => all.find((other) => other.schema !== schema && Object.hasOwn(other.schema.shape, key))
      const unknown = issue.keys.filter((key) => foreign(key) === undefined)
      if (unknown.length > 0) context.issues.push({ ...issue, keys: unknown } as z.core.$ZodRawIssue)
      for (const key of issue.keys) {
        const other = foreign(key)
        if (other === undefined) continue
        const params: IssueParams = { code: 'misplaced_key', hint: `it belongs to ${other.words}; say which with \`${by}\`` }
        const message = `${quote(key)} means nothing to this ${by}`
        context.issues.push({ code: 'custom', message, path: [key], input: value, params: { ...params } })
      }
    }
    return z.NEVER
  })
}

/** What a custom issue says about itself; `issues.ts` reads it. */
export interface IssueParams {
  code: ProblemCode
  hint?: string | undefined
}

/** One of some words. Those that the language has and Belay does not carry out yet are told apart from mistakes. */
export function oneOf<const Word extends string>(words: readonly Word[], notYet: readonly string[] = []) {
  return z.string({ error: `one of ${words.join(', ')}` }).transform((value, context): Word => {
    const word = words.find((candidate) => candidate === value)
    if (word !== undefined) return word
    const params: IssueParams = notYet.includes(value)
      ? { code: 'not_yet', hint: `carried out now: ${words.join(', ')}` }
      : { code: 'invalid_value', hint: suggestWord(value, [...words, ...notYet]) }
    const message = notYet.includes(value)
      ? `${quote(value)} is not carried out yet`
      : `${quote(value)} is not one of ${words.join(', ')}`
    context.addIssue({ code: 'custom', message, params: { ...params } })
    return z.NEVER
  })
}

export const secretName = matching(/^[A-Za-z_][A-Za-z0-9_.-]{0,99}$/, 'the name of a secret (letters, digits, _ . -)')

/** Id of a secret inside a build: `RUN --mount=type=secret,id=…`. */
export const secretId = matching(/^[A-Za-z_][A-Za-z0-9_.-]{0,99}$/, 'an id: letters, digits, _ . -')
export const argumentName = matching(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'the name of a build argument: letters, digits, _')

const plainValue = z
  .string({ error: 'text; write "" for an empty value' })
  .refine((value) => !value.includes('\0'), { error: 'text without a NUL character' })
  .transform((value): EnvValue => ({ value }))

const secretValue = mapOf({ from_secret: secretName }).transform((value): EnvValue => ({ secret: value.from_secret }))

/** Set by Belay for every command; what a pipeline says about them would be lost or would lie. */
const reservedVariable = /^(?:PATH|HOME|TMPDIR|CI|BELAY|BELAY_.*)$/

const variableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,199}$/, { error: 'a variable name: letters, digits and _, not beginning with a digit' })
  .superRefine((name, context) => {
    if (!reservedVariable.test(name)) return
    const hint =
      name === 'PATH' ? 'change it in the commands: export PATH="…:$PATH"' : 'PATH, HOME, TMPDIR, CI and BELAY_* are set by Belay'
    const params: IssueParams = { code: 'reserved_name', hint }
    context.addIssue({ code: 'custom', message: `the variable ${quote(name)} is Belay's`, params: { ...params } })
  })

/** Variables of one step: text or a reference to a secret, never its value. */
export const stepEnv = z.record(variableName, z.union([plainValue, secretValue], { error: 'text or { from_secret: NAME }' }), {
  error: 'a map of variables',
})

const noSecretHere = mapOf({ from_secret: z.unknown() }).transform((_, context): EnvValue => {
  const params: IssueParams = { code: 'misplaced_key', hint: 'put it under `env` of each step that needs it' }
  context.addIssue({ code: 'custom', message: 'a secret is bound to one step, not to all', params: { ...params } })
  return z.NEVER
})

/** Variables of all steps: text only. */
export const pipelineEnv = z.record(variableName, z.union([plainValue, noSecretHere], { error: 'text' }), {
  error: 'a map of variables',
})

/** A path or glob below the workspace: relative, `/`-separated, no `..`. */
export const workspacePath = text('a path inside the workspace').superRefine((path, context) => {
  if (!path.startsWith('/') && !path.includes('\\') && !path.split('/').includes('..') && path.length <= 1000) return
  const params: IssueParams = {
    code: 'invalid_value',
    hint: 'paths begin at the root of the workspace: no leading /, no .. and no backslash',
  }
  context.addIssue({ code: 'custom', message: `the path ${quote(path)} is not inside the workspace`, params: { ...params } })
})

export const imagePath = text('an absolute path in the image').refine(
  (path) => path.startsWith('/') && !path.split('/').includes('..') && path.length <= 1000,
  { error: 'an absolute path in the image, without ..' },
)
