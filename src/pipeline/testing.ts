import type { Plan, PlanStep } from '../domain/plan.ts'
import { loadStep } from '../domain/plan.ts'
import type { Trigger } from '../domain/trigger.ts'
import { compilePipeline } from './compile.ts'
import type { ProjectRules } from './project-rules.ts'
import { validatePipeline } from './validate.ts'

/** What the tests of this room have in common. */
export const file = '.belay.yml'

export const push: Trigger = {
  event: 'push',
  source: 'hook',
  ref: 'refs/heads/main',
  branch: 'main',
  sha: '0123456789abcdef0123456789abcdef01234567',
  actor: { id: 'github:7', name: 'ana' },
  title: 'a change',
}

export const rules: ProjectRules = {
  project: 'shop',
  environments: ['staging', 'production', 'eu'],
  environmentTargets: { staging: 'process', production: 'process', eu: 'docker' },
  environmentHealth: {
    production: { http: '/healthz', intervalMs: 2_000, healthyAfter: 2, unhealthyAfter: 3, timeoutMs: 60_000 },
  },
  secrets: ['npm_token', 'deploy_key'],
  registries: ['main'],
}

export function onBranch(branch: string): Trigger {
  return { ...push, branch, ref: `refs/heads/${branch}` }
}

/** The plan of a file that is right; what is wrong with it otherwise fails the test. */
export function compileText(text: string, trigger: Trigger = push): Plan {
  const read = validatePipeline({ path: file, text }, rules)
  const compiled = 'document' in read ? compilePipeline({ document: read.document, trigger, rules }) : read
  if ('plan' in compiled) return compiled.plan
  throw new Error(`no plan: ${JSON.stringify(compiled)}`)
}

/** `line:column code` of each mistake, from parse, lint, rules and compile. */
export function mistakesIn(text: string, trigger: Trigger = push): string[] {
  const read = validatePipeline({ path: file, text }, rules)
  const compiled = 'document' in read ? compilePipeline({ document: read.document, trigger, rules }) : read
  return 'problems' in compiled ? compiled.problems.map(({ line, column, code }) => `${line}:${column} ${code}`) : []
}

/** The messages and hints of each mistake, one text. */
export function wordsAbout(text: string, trigger: Trigger = push): string {
  const read = validatePipeline({ path: file, text }, rules)
  const compiled = 'document' in read ? compilePipeline({ document: read.document, trigger, rules }) : read
  return 'problems' in compiled ? compiled.problems.map(({ message, hint }) => `${message} | ${hint ?? ''}`).join('\n') : ''
}

export function stepOf<Kind extends PlanStep['kind']>(plan: Plan, id: string, kind: Kind): Extract<PlanStep, { kind: Kind }> {
  const step = loadStep(plan, id)
  if (isKind(step, kind)) return step
  throw new Error(`step ${id} is a ${step.kind}, not a ${kind}`)
}

function isKind<Kind extends PlanStep['kind']>(step: PlanStep, kind: Kind): step is Extract<PlanStep, { kind: Kind }> {
  return step.kind === kind
}

/** A file with mistakes in it. */
export interface Broken {
  rule: string
  text: string
  /** `line:column code` of every mistake, in the order of the text. */
  mistakes: string[]
  /** What the reader is told, among other things. */
  says: string
}

/** A step's kind that is right, in one line. */
export const image = 'build_image: { builder: pack, repository: a, files: { a: /a }, entrypoint: [a] }'

/** A pipeline with everything in it that is carried out. */
export const whole = `name: release
when:
  - { event: push, branch: [main, "release/**"] }
  - { event: manual }
timeout: 2h
stages: [build, verify, ship]
env: { NODE_ENV: production }
rollback: { timeout: 10m }
steps:
  compile:
    stage: build
    commands:
      - npm ci
      - npm run build
    artifacts: { paths: [dist/], exclude: ["dist/*.map"] }
  unit:
    stage: verify
    commands: [npm test]
    env: { TOKEN: { from_secret: npm_token }, PORT: 8080 }
    retry: { max: 2, on: [errored, timed_out], exit_codes: [3], backoff: 5s }
    timeout: 10m
  scan:
    stage: verify
    needs: []
    shell: bash
    working_directory: tools
    commands: [./scan.sh]
    when: { branch: main, event: push }
  image:
    stage: ship
    build_image:
      builder: pack
      repository: shop/app
      tags: ["\${{ sha }}", "\${{ branch_slug }}-latest"]
      files: { dist/: /app/dist }
      entrypoint: [node, /app/dist/server.js]
      user: 10001
  candidate:
    stage: ship
    needs: [image, compile]
    release: { from: [image, compile], version: "1.0 (\${{ branch }})" }
  register:
    stage: ship
    needs: [candidate]
    commands: [./register.sh]
    undo: { commands: [./unregister.sh], env: { WHY: failed }, timeout: 1m, retry: { max: 2 } }
  production:
    stage: ship
    needs: [register]
    deploy:
      environment: production
      strategy: blue_green
      health: { http: /healthz, interval: 1s, healthy_after: 3, unhealthy_after: 2, timeout: 30s }
      bake: { for: 10s }
finally:
  tell:
    when: { status: [failed, rolled_back] }
    commands: [./tell.sh]
    env: { CHANNEL: releases }
    timeout: 1m
`
