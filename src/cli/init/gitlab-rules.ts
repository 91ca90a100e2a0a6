/** Does a push to a branch start a job of `.gitlab-ci.yml`? Only what is plain is decided; all else is said to be unclear. */
import { mapIn, textIn, textsIn, type Yaml } from './ci-yaml.ts'

/** Why a job is not taken over; undefined if it is. */
export function refuseGitlabJob(job: ReadonlyMap<unknown, Yaml>, branch: string): string | undefined {
  const key = ['trigger', 'services', 'environment', 'allow_failure', 'release'].find((word) => job.has(word))
  if (key !== undefined && textIn(job.get(key)) !== 'false') return key
  const rules = job.get('rules')
  if (rules !== undefined) return refuseRules(rules, branch)
  const when = textIn(job.get('when')) ?? 'on_success'
  if (when !== 'on_success' && when !== 'always') return `when: ${when}`
  return refuseOnly(job, branch)
}

function refuseRules(rules: Yaml, branch: string): string | undefined {
  for (const item of Array.isArray(rules) ? rules : [rules]) {
    const rule = mapIn(item)
    if (!(item instanceof Map) || rule.has('changes') || rule.has('exists')) return 'rules that cannot be decided here'
    const condition = textIn(rule.get('if'))
    const holds = condition === undefined ? true : decide(condition, branch)
    if (holds === undefined) return `rules: ${condition ?? ''}`
    if (!holds) continue
    const when = textIn(rule.get('when')) ?? 'on_success'
    return when === 'on_success' || when === 'always' ? undefined : `when: ${when}`
  }
  return `its rules leave out pushes to ${branch}`
}

/** Undefined: it depends on something else than event and branch. */
function decide(condition: string, branch: string): boolean | undefined {
  if (condition.length > 1000 || condition.includes('||')) return undefined
  const parts = condition
    .split('&&')
    .map((part) => decidePart(part.trim().replaceAll(/["']/g, '').replaceAll(/\s+/g, ' '), branch))
  if (parts.includes(false)) return false
  return parts.includes(undefined) ? undefined : true
}

function decidePart(part: string, branch: string): boolean | undefined {
  const values: Readonly<Record<string, string>> = {
    $CI_PIPELINE_SOURCE: 'push',
    $CI_COMMIT_BRANCH: branch,
    $CI_COMMIT_REF_NAME: branch,
    $CI_DEFAULT_BRANCH: branch,
    $CI_COMMIT_TAG: '',
    $CI_MERGE_REQUEST_IID: '',
    $CI_MERGE_REQUEST_ID: '',
  }
  const valueOf = (word: string) => (word.startsWith('$') ? (Object.hasOwn(values, word) ? values[word] : undefined) : word)
  const [left = '', operator, right = '', ...more] = part.split(' ')
  if (more.length > 0) return undefined
  const a = valueOf(left)
  if (a === undefined) return undefined
  if (operator === undefined) return a !== ''
  const b = valueOf(right === 'null' ? '' : right)
  if (b === undefined || (operator !== '==' && operator !== '!=')) return undefined
  return (a === b) === (operator === '==')
}

function refuseOnly(job: ReadonlyMap<unknown, Yaml>, branch: string): string | undefined {
  const only = refsOf(job.get('only'))
  const except = refsOf(job.get('except'))
  if (only === undefined || except === undefined) return 'only and except that cannot be decided here'
  const isMeant = (ref: string) => ref === branch || ref === 'branches' || ref === 'pushes'
  if (only.length > 0 && !only.some(isMeant)) return `only: ${only.join(', ')}`
  return except.some(isMeant) ? `except: ${except.join(', ')}` : undefined
}

function refsOf(value: Yaml | undefined): string[] | undefined {
  if (!(value instanceof Map)) return textsIn(value)
  return [...value.keys()].every((key) => key === 'refs') ? textsIn(value.get('refs')) : undefined
}
