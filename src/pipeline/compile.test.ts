import { describe, expect, it } from 'vitest'
import { Plan } from '../domain/plan.ts'
import { compilePipeline } from './compile.ts'
import { digestPlan } from './digest-plan.ts'
import { explainPlan } from './explain-plan.ts'
import { parsePipeline } from './parse.ts'
import { compileText, file, mistakesIn, onBranch, push, rules, stepOf, whole, wordsAbout } from './testing.ts'

describe('a whole pipeline', () => {
  const plan = compileText(whole)

  it('compiles to a plan that the domain accepts as it is', () => {
    expect(Plan.parse(plan)).toEqual(plan)
  })

  it('keeps the order in which the steps were written', () => {
    expect(plan.steps.map((step) => step.id)).toEqual(['compile', 'unit', 'scan', 'image', 'candidate', 'register', 'production'])
  })

  it('fills in commands, env, retry and limits of a step', () => {
    expect(stepOf(plan, 'unit', 'commands')).toEqual({
      id: 'unit',
      stage: 'verify',
      needs: ['compile'],
      kind: 'commands',
      commands: { lines: ['npm test'], shell: 'sh', workingDirectory: '.' },
      env: { NODE_ENV: { value: 'production' }, TOKEN: { secret: 'npm_token' }, PORT: { value: '8080' } },
      timeoutMs: 600_000,
      retry: { max: 2, on: ['errored', 'timed_out'], exitCodes: [3], backoffMs: 5_000 },
      segment: 0,
    })
  })

  it('marks the steps after which the workspace is stored', () => {
    const steps = ['{ commands: [x], checkpoint: true }', '{ commands: [x], checkpoint: false }', '{ commands: [x] }']
    const compiled = compileText(`steps: { a: ${steps[0]}, b: ${steps[1]}, c: ${steps[2]} }`)
    const marks = ['a', 'b', 'c'].map((id) => stepOf(compiled, id, 'commands').checkpoint)
    expect(marks).toEqual([true, undefined, undefined])
  })
  it('gives an undo the env, shell and directory of its step', () => {
    expect(stepOf(plan, 'register', 'commands').undo).toEqual({
      commands: { lines: ['./unregister.sh'], shell: 'sh', workingDirectory: '.' },
      env: { NODE_ENV: { value: 'production' }, WHY: { value: 'failed' } },
      timeoutMs: 60_000,
      attempts: 3,
    })
  })

  it('puts the variables of the trigger into tags and version', () => {
    expect(stepOf(plan, 'image', 'build_image').buildImage.tags).toEqual([push.sha, 'main-latest'])
    expect(stepOf(plan, 'candidate', 'release').release).toEqual({ from: ['image', 'compile'], version: '1.0 (main)' })
  })

  it('says of a deployment what the pipeline says, and nothing of the environment', () => {
    expect(stepOf(plan, 'production', 'deploy').deploy).toEqual({
      environment: 'production',
      strategy: 'blue_green',
      health: { http: '/healthz', intervalMs: 1_000, healthyAfter: 3, unhealthyAfter: 2, timeoutMs: 30_000 },
      bakeMs: 10_000,
    })
  })

  it('keeps a step of finally with the ends on which it runs', () => {
    expect(plan.finally).toEqual([
      {
        id: 'tell',
        statuses: ['failed', 'rolled_back'],
        commands: { lines: ['./tell.sh'], shell: 'sh', workingDirectory: '.' },
        env: { NODE_ENV: { value: 'production' }, CHANNEL: { value: 'releases' } },
        timeoutMs: 60_000,
      },
    ])
  })

  it('is the same byte for byte when compiled again', () => {
    expect(JSON.stringify(compileText(whole))).toBe(JSON.stringify(plan))
    expect(digestPlan(compileText(whole))).toBe(digestPlan(plan))
  })
})

describe('order', () => {
  const needs = (text: string) => Object.fromEntries(compileText(text).steps.map((step) => [step.id, step.needs]))

  it('lets a step follow the one written above it', () => {
    expect(needs('steps: { a: { commands: [x] }, b: { commands: [x] }, c: { commands: [x] } }')).toEqual({
      a: [],
      b: ['a'],
      c: ['b'],
    })
  })
  it('starts a step with `needs: []` at once', () => {
    expect(needs('steps: { a: { commands: [x] }, b: { needs: [], commands: [x] } }')).toEqual({ a: [], b: [] })
  })
  it('lets a step need one that is written below it', () => {
    expect(needs('steps: { a: { needs: [b], commands: [x] }, b: { needs: [], commands: [x] } }')).toEqual({ a: ['b'], b: [] })
  })
  it('names a need once, however often it is written', () => {
    expect(needs('steps: { a: { commands: [x] }, b: { needs: [a, a], commands: [x] } }')['b']).toEqual(['a'])
  })
  it('lets a stage begin when every step of the earlier stages has ended', () => {
    const stages = `stages: [one, two, three]
steps:
  c: { stage: three, commands: [x] }
  a: { stage: one, commands: [x] }
  b1: { stage: two, commands: [x] }
  b2: { stage: two, needs: [b1], commands: [x] }
`
    expect(needs(stages)).toEqual({ c: ['a', 'b1', 'b2'], a: [], b1: ['a'], b2: ['b1'] })
  })
})

const image = 'build_image: { builder: pack, repository: shop/app, files: { dist/: /app }, entrypoint: [node, /app/main.js] }'

describe('the release of a pipeline without a release step', () => {
  it('is made of its only image, right after it, and deployed', () => {
    const plan = compileText(`steps: { image: { ${image} }, live: { deploy: { environment: staging } } }`)
    expect(plan.steps.map((step) => [step.id, step.needs])).toEqual([
      ['image', []],
      ['image_release', ['image']],
      ['live', ['image_release']],
    ])
    expect(stepOf(plan, 'image_release', 'release').release).toEqual({ from: ['image'] })
  })
  it('is needed by a deployment that names the image', () => {
    const plan = compileText(`steps: { image: { ${image} }, live: { needs: [image], deploy: { environment: staging } } }`)
    expect(stepOf(plan, 'live', 'deploy').needs).toEqual(['image', 'image_release'])
  })
  it('belongs to the stage of its image', () => {
    const plan = compileText(`stages: [a, b]
steps: { image: { stage: a, ${image} }, live: { stage: b, deploy: { environment: staging } } }`)
    expect(stepOf(plan, 'image_release', 'release').stage).toBe('a')
    expect(stepOf(plan, 'live', 'deploy').needs).toEqual(['image', 'image_release'])
  })
  it('is not made where a step makes one', () => {
    const plan = compileText(`steps: { image: { ${image} }, mine: { release: { from: [image] } } }`)
    expect(plan.steps.map((step) => step.id)).toEqual(['image', 'mine'])
  })
})

describe('when', () => {
  const text = `when: [{ branch: [main, "release/**"] }, { event: manual }]
steps:
  all: { commands: [x] }
  main: { commands: [x], when: { branch: main } }
  after: { commands: [x] }
finally:
  told: { commands: [x], when: { branch: main, status: failed } }
  any: { commands: [x], when: [{ branch: main, status: failed }, { event: push }] }
`
  it('skips the whole pipeline, and says why', () => {
    const read = parsePipeline({ path: file, text })
    if (!('document' in read)) throw new Error('it is a right file')
    const skipped = compilePipeline({ document: read.document, trigger: onBranch('dev'), rules })
    expect(skipped).toEqual({ skipped: 'when: the branch "dev" is not main, release/**; the event push is not manual' })
  })
  it('keeps a step that it leaves out in the plan, with the reason', () => {
    const plan = compileText(text, onBranch('release/1'))
    expect(plan.steps.map((step) => step.skip)).toEqual([undefined, 'when: the branch "release/1" is not main', undefined])
    expect(plan.steps[2]?.needs).toEqual(['main'])
  })
  it('leaves out a step of finally by branch, and joins the ends of what matches', () => {
    const [told, any] = compileText(text, onBranch('release/1')).finally
    expect(told?.skip).toContain('release/1')
    expect([any?.skip, any?.statuses]).toEqual([undefined, []])
    expect(compileText(text).finally[0]?.statuses).toEqual(['failed'])
  })
})

describe('defaults and spellings', () => {
  it('takes `script` and `run` for `commands`, and one text for a list of one', () => {
    const plan = compileText('steps: { a: { script: [x, y] }, b: { run: "x\\ny" } }')
    expect(plan.steps.map((step) => (step.kind === 'commands' ? step.commands.lines : []))).toEqual([['x', 'y'], ['x\ny']])
  })
  it('takes words as they are written, whatever YAML makes of them', () => {
    const step = stepOf(
      compileText('steps: { a: { commands: [true, 1.10], env: { V: 20.10, B: yes, E: "" } } }'),
      'a',
      'commands',
    )
    expect(step.commands.lines).toEqual(['true', '1.10'])
    expect(step.env).toEqual({ V: { value: '20.10' }, B: { value: 'yes' }, E: { value: '' } })
  })
  it('allows a step 30 minutes and a run 6 hours, and tries nothing again', () => {
    const plan = compileText('steps: { a: { commands: [x], undo: { commands: [y] } } }')
    const step = stepOf(plan, 'a', 'commands')
    expect([plan.timeoutMs, step.timeoutMs, step.undo?.timeoutMs, step.undo?.attempts]).toEqual([
      21_600_000, 1_800_000, 300_000, 5,
    ])
    expect(step.retry).toEqual({ max: 0, on: [], exitCodes: [], backoffMs: 0 })
  })
  it('allows a deployment its bake on top of that, unless a longer time is written', () => {
    const timeoutOf = (keys: string, bake: string): number => {
      const text = `steps: { i: { ${image} }, d: { ${keys}deploy: { environment: staging, bake: { for: ${bake} } } } }`
      return stepOf(compileText(text), 'd', 'deploy').timeoutMs
    }
    expect(timeoutOf('', '0s')).toBe(1_800_000)
    expect(timeoutOf('', '2h')).toBe(9_000_000)
    expect(timeoutOf('timeout: 121m, ', '2h')).toBe(7_260_000)
    expect(
      stepOf(
        compileText(`{ timeout: 7h, steps: { i: { ${image} }, d: { deploy: { environment: staging, bake: { for: 6h } } } } }`),
        'd',
        'deploy',
      ).timeoutMs,
    ).toBe(23_400_000)
  })
  it('lets only `pack` keep from a name the directories of its layout', () => {
    const plan = compileText('steps: { i: { build_image: { repository: main/blobs/app } } }')
    expect(stepOf(plan, 'i', 'build_image').buildImage.repository).toBe('main/blobs/app')
  })
  it('tries again whatever went wrong where `retry` names nothing', () => {
    const retry = stepOf(compileText('steps: { a: { commands: [x], retry: { max: 1 } } }'), 'a', 'commands').retry
    expect(retry).toEqual({ max: 1, on: ['failed', 'errored', 'timed_out'], exitCodes: [], backoffMs: 1_000 })
  })
  it('takes the time of an undo from the pipeline where the undo names none', () => {
    const plan = compileText('{ rollback: { timeout: 1h30m }, steps: { a: { commands: [x], undo: { commands: [y] } } } }')
    expect(stepOf(plan, 'a', 'commands').undo?.timeoutMs).toBe(5_400_000)
  })
  it('names a pipeline after its file', () => {
    const read = parsePipeline({ path: '.belay/docs.yml', text: 'steps: { a: { commands: [x] } }' })
    expect('document' in read ? read.document.name : read).toBe('docs')
  })
  it('reads what an alias stands for', () => {
    const plan = compileText('steps: { a: { commands: &c [x] }, b: { commands: *c } }')
    expect(stepOf(plan, 'b', 'commands').commands.lines).toEqual(['x'])
  })
})

describe('values that the trigger makes bad', () => {
  const text = (tag: string) => `steps:
  image:
    build_image: { builder: pack, repository: a, tags: ["${tag}"], files: { a: /a }, entrypoint: [a] }
`
  it('refuses a tag that the branch makes no tag, and advises its slug', () => {
    expect(mistakesIn(text('${{ branch }}'), onBranch('feature/x'))).toEqual(['3:57 invalid_value'])
    expect(wordsAbout(text('${{ branch }}'), onBranch('feature/x'))).toContain('branch_slug')
  })
  it('makes a tag of the slug of any branch with a letter or digit in it', () => {
    const plan = compileText(text('${{ branch_slug }}'), onBranch('Feature/Ünder_way--1-'))
    expect(stepOf(plan, 'image', 'build_image').buildImage.tags).toEqual(['feature-nder-way-1'])
  })
  it('refuses a version of more than one line', () => {
    const version = 'steps: { image: { ' + image + ' }, r: { release: { from: [image], version: "${{ branch }}" } } }'
    expect(mistakesIn(version, onBranch('a\nb'))).toEqual([`1:${version.indexOf('"${{') + 1} invalid_value`])
  })
})

describe('an image', () => {
  it('of a Dockerfile goes to the registry that its name begins with, and says what it was made of', () => {
    const text =
      'steps: { image: { build_image: { repository: main/shop/app, build_args: { A: b }, secrets: { t: { from_secret: npm_token } } } } }'
    expect(stepOf(compileText(text), 'image', 'build_image').buildImage).toEqual({
      builder: 'auto',
      repository: 'main/shop/app',
      registry: 'main',
      tags: [],
      labels: { 'org.opencontainers.image.revision': push.sha },
      context: '.',
      dockerfile: 'Dockerfile',
      args: { A: 'b' },
      secrets: { t: 'npm_token' },
    })
  })

  it('of `pack` goes to a registry only if its name begins with one', () => {
    const text = (repository: string): string => `steps: { image: { ${image.replace('shop/app', repository)} } }`
    expect(stepOf(compileText(text('main/app')), 'image', 'build_image').buildImage.registry).toBe('main')
    expect(stepOf(compileText(text('shop/app')), 'image', 'build_image').buildImage.registry).toBeUndefined()
  })

  it('is deployed by the strategy that is written, and the plan says what that costs on the way back', () => {
    const text = `steps: { image: { ${image} }, d: { deploy: { environment: staging, strategy: recreate } } }`
    const plan = compileText(text)
    expect(stepOf(plan, 'd', 'deploy').deploy.strategy).toBe('recreate')
    expect(explainPlan(plan).undo).toMatchObject([{ step: 'd', does: expect.stringContaining('503') as string }])
  })
})
