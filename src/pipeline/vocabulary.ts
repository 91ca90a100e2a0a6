/**
 * Words that are not keys here, and are no mere mistakes: those of the language that Belay does not carry out yet, and
 * habits from elsewhere. By place in the file, `*` for any id.
 */
interface Words {
  notYet?: readonly string[]
  /** Key → what to write instead. */
  habits?: Readonly<Record<string, string>>
}

const variables = 'variables go under `env`'

export const vocabulary: Readonly<Record<string, Words>> = {
  '': {
    notYet: [
      'concurrency',
      'include',
      'templates',
      'parameters',
      'schedules',
      'watch',
      'workspace',
      'image',
      'services',
      'cache',
      'matrix',
      'runs_on',
    ],
    habits: {
      jobs: 'steps lie under `steps`, by their names',
      pipeline: 'steps lie under `steps`, by their names',
      on: 'say `when: [{ event: push, branch: [main] }]`',
      variables,
      environment: variables,
      before_script: 'put the lines into `commands` of each step that needs them',
      default: 'there are no defaults for all steps; say it in each',
      workflow: 'say `when` to choose what starts the pipeline',
      triggers: 'say `when: [{ event: push, branch: [main] }]`',
      version: 'a pipeline file has no version; take the line out',
      undo: 'an `undo` belongs to the step it takes back',
      settle: '`settle` belongs to the step that settles what is before it',
    },
  },
  rollback: { notYet: ['on'] },
  when: {
    notYet: ['tag', 'paths', 'changed_files', 'actor', 'labels'],
    habits: { status: '`status` is for steps of `finally`', branches: 'say `branch`' },
  },
  'steps.*': {
    notYet: [
      'image',
      'services',
      'matrix',
      'cache',
      'if',
      'approval',
      'wait',
      'window',
      'lock',
      'quality',
      'trigger',
      'notify',
      'check',
      'extends',
      'allow_failure',
      'outputs',
      'runs_on',
      'workspace',
      'interruptible',
      'concurrency',
    ],
    habits: {
      environment: 'variables go under `env`; where to deploy to is said by `deploy: { environment: NAME }`',
      variables,
      secrets: 'say `env: { NAME: { from_secret: name } }`',
      depends_on: 'say `needs: [step]`',
      dependencies: 'say `needs: [step]`',
      only: 'say `when: { branch: [main] }`',
      except: 'say `when` with what matches',
      rules: 'say `when: { event: push, branch: [main] }`',
      name: 'the key of a step is its name',
      uses: 'there are no ready-made actions; say `commands`',
      with: 'there are no ready-made actions; say `commands` and `env`',
      steps: 'a step holds one kind, such as `commands`; steps do not nest',
      cmd: 'say `commands`',
      command: 'say `commands`',
      rollback: 'commands that take a step back go under `undo: { commands: […] }`',
      compensate: 'commands that take a step back go under `undo: { commands: […] }`',
      tags: '`tags` belong under `build_image`',
      'timeout-minutes': 'say `timeout: 10m`',
      timeout_minutes: 'say `timeout: 10m`',
      'continue-on-error': 'there is no such thing yet; a step that may fail ends in `|| true`',
      after_script: 'say it in `finally`',
      paths: '`paths` belong under `artifacts`',
      migrate: '`migrate` belongs under `deploy`',
    },
  },
  'steps.*.when': {
    notYet: ['status', 'tag', 'paths', 'changed_files', 'actor', 'labels'],
    habits: { branches: 'say `branch`' },
  },
  'steps.*.undo': {
    habits: { shell: 'an undo runs in the shell of its step', working_directory: 'an undo runs in the directory of its step' },
  },
  'steps.*.undo.retry': { notYet: ['on', 'exit_codes', 'backoff'] },
  'steps.*.artifacts': {
    notYet: ['expires_in', 'reports'],
    habits: { expire_in: 'there is no such thing yet; artifacts are kept for 30 days' },
  },
  'steps.*.build_image': {
    notYet: ['base', 'platforms', 'cache', 'labels', 'env', 'working_directory'],
    habits: {
      image: 'say `repository: shop/app` and `tags: […]`',
      tag: 'say `tags: […]`',
      cmd: 'say `entrypoint: [program, argument]`',
      args: 'say `build_args: { NAME: value }`',
      file: 'say `dockerfile: path`',
    },
  },
  'steps.*.release': { notYet: ['notes', 'name'] },
  'steps.*.deploy': {
    notYet: ['release', 'rolling', 'canary', 'blue_green', 'recreate'],
    habits: { env: 'the operator sets an environment’s variables', target: 'the operator says how an environment is reached' },
  },
  'steps.*.deploy.health': {
    notYet: ['command', 'tcp'],
    habits: { retries: 'say `unhealthy_after: 3`', path: 'say `http: /healthz`' },
  },
  'steps.*.deploy.migrate': {
    // Traffic would have to be held while it is taken down first, and no edge can.
    notYet: ['order'],
    habits: {
      command: 'say `up: [program, argument]`',
      undo: 'say `down: [program, argument]`',
      env: 'it has the environment’s variables',
    },
  },
  'steps.*.deploy.bake': { notYet: ['fail_when', 'requests', 'error_rate', 'p95_ms'] },
  'finally.*': {
    notYet: [
      'notify',
      'image',
      'services',
      'if',
      'check',
      'trigger',
      'cache',
      'matrix',
      'allow_failure',
      'runs_on',
      'extends',
      'retry',
    ],
    habits: {
      build_image: 'steps of `finally` hold commands only',
      release: 'steps of `finally` hold commands only',
      deploy: 'steps of `finally` hold commands only',
      needs: 'steps of `finally` run one after another, in their order',
      stage: 'steps of `finally` belong to no stage',
      undo: 'nothing in `finally` is taken back',
      settle: 'a run has settled or was taken back before `finally`; `settle` is for the steps before',
      environment: variables,
      variables,
    },
  },
  'finally.*.when': { notYet: ['tag', 'paths'], habits: { branches: 'say `branch`' } },
}
