/** The ways a workflow can go that are recorded in `histories/`, one file each: what it shows, and how it ended. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunEnd } from '../../src/domain/run.ts'

interface RecordedPath {
  /** Of a run or its recovery: its end, as its workflow returned it. `open`: the workflow goes on. */
  end: RunEnd | 'open'
  /** Words that the history holds only if it took this path: types of activities, failures, messages, events. */
  shows: readonly string[]
}

type WorkflowType = 'run' | 'environment' | 'recovery'

/** The name is that of the file; it begins with the workflow's type. */
export const recordedPaths = {
  'run-succeeded': { end: 'succeeded', shows: ['openWorkspace', 'createRelease', 'tellEnvironment', 'closeWorkspace'] },
  'run-failed-after-retry': { end: 'failed', shows: ['retryAt', '"attempt":2', 'runScript'] },
  'run-undone': { end: 'rolled_back', shows: ['runScript', '"type":"undo"'] },
  'run-undo-failed': { end: 'open', shows: ['rollback_blocked'] },
  'run-undo-retried': { end: 'rolled_back', shows: ['rollback_blocked', 'perhaps now', 'there is room again'] },
  'run-undo-skipped': { end: 'rollback_failed', shows: ['rollback_blocked', 'emptied by hand', 'taken down by hand'] },
  'run-deployment-undo-retried': { end: 'rolled_back', shows: ['rollback_blocked', 'the image is back', '"after":'] },
  'run-release-taken-back': { end: 'rolled_back', shows: ['failed under traffic'] },
  'run-deploy-retried': { end: 'rolled_back', shows: ['did not become healthy', 'EVENT_TYPE_TIMER_FIRED'] },
  'run-group-taken-back': { end: 'rolled_back', shows: ['/ship/east/1', 'west: the release failed under traffic', '"atOnce":1'] },
  'run-kept-and-taken-back': { end: 'rolled_back', shows: ['undo-what-was-kept', '"kept":true'] },
  'run-settled': { end: 'rolled_back', shows: ['"settle":true', '"type":"keep"', '"status":"discharged"', '"type":"undo"'] },
  'run-cancelled-in-step': { end: 'cancelled', shows: ['EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED', 'runScript'] },
  'run-cancelled-in-bake': { end: 'cancelled', shows: ['call-off-at-once', '"type":"withdraw"'] },
  // Before a request was called off ahead of its turn.
  'run-cancelled-in-bake-withdrawn-in-turn': { end: 'cancelled', shows: ['"type":"withdraw"'] },
  'run-deploy-timed-out-in-queue': { end: 'succeeded', shows: ['call-off-at-once', 'gave no answer within', '/ship/late/2'] },
  'run-overtime': { end: 'failed', shows: ['EVENT_TYPE_TIMER_FIRED', 'the run took longer'] },
  'run-skipped': { end: 'skipped', shows: ['"type":"skipped"'] },
  'run-invalid': { end: 'errored', shows: ['"type":"invalid"'] },
  'run-runner-killed': { end: 'succeeded', shows: ['RunnerRestarted', '"epoch":2'] },
  'run-runner-killed-undone-first': {
    end: 'succeeded',
    shows: ['RunnerRestarted', 'undo-what-was-interrupted', 'it was interrupted on runner', 'runScript', '"attempt":2'],
  },
  'run-runner-silent-undone-first': {
    end: 'succeeded',
    shows: ['TIMEOUT_TYPE_HEARTBEAT', '"inDoubt":["once"]', '"interrupted":["once"]', 'undo-what-was-interrupted', 'runScript'],
  },
  'run-runner-silent-before-take-over': {
    end: 'succeeded',
    shows: ['TIMEOUT_TYPE_SCHEDULE_TO_START', 'isRunnerActive', '"type":"waiting"'],
  },
  'run-runner-silent': { end: 'succeeded', shows: ['TIMEOUT_TYPE_HEARTBEAT', 'findRunner', '"type":"waiting"', 'noteHolder'] },
  'run-runner-silent-in-a-slow-store': {
    end: 'succeeded',
    shows: ['TIMEOUT_TYPE_HEARTBEAT', 'silence-by-timer', 'noteHolder'],
  },
  'run-asks-after-silence': { end: 'succeeded', shows: ['silence-by-timer', 'EVENT_TYPE_TIMER_FIRED', 'findRunner'] },
  'run-taken-over': {
    end: 'succeeded',
    shows: ['findRunner', 'cutLogs', 'its workspace was lost with runner', '"restored":true', '"attempt":2'],
  },
  'run-taken-over-undone-first': {
    end: 'succeeded',
    shows: ['findRunner', 'was lost while it may have been running', 'runScript'],
  },
  'run-undo-taken-over': { end: 'rolled_back', shows: ['findRunner', 'runScript', 'TIMEOUT_TYPE_HEARTBEAT', '"type":"undo"'] },
  'run-resumed': { end: 'succeeded', shows: ['loadResume', 'is done again', '"round":1', '"attempt":2'] },
  'run-control-killed': { end: 'succeeded', shows: ['EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT'] },
  // Before an environment of which nothing is on record asked its target.
  'environment-first-deployment-before-asking': {
    end: 'open',
    shows: ['stage', 'check', 'activate', 'verify', 'retire', '"type":"keep"'],
  },
  'environment-first-deployment': { end: 'open', shows: ['empty-asks-target', 'observe', 'activate', 'retire', '"type":"keep"'] },
  // Before the way back was one activity.
  'environment-release-taken-back-in-steps': { end: 'open', shows: ['failed under traffic', '/undo-activate/'] },
  'environment-release-taken-back': { end: 'open', shows: ['failed under traffic', 'back-in-one', 'restore', '/undo-activate/'] },
  'environment-answers-what-is-gone': {
    end: 'open',
    shows: ['answered-is-recorded', '"status":"undone"', 'version 1 was better'],
  },
  'run-frozen': { end: 'succeeded', shows: ['"type":"waiting"', 'frozen until', 'EVENT_TYPE_TIMER_CANCELED'] },
  'run-blocked': { end: 'rolled_back', shows: ['is blocked in blocked: it is the image of'] },
  'environment-frozen': { end: 'open', shows: ['findFreeze', 'the party', 'unfreeze/token:admin/', 'environment-records-first'] },
  'environment-blocked': { end: 'open', shows: ['block/token:admin/', 'leaks memory', '/rollback"'] },
  'environment-blocked-in-bake': {
    end: 'open',
    shows: ['block/token:admin/', 'EVENT_TYPE_ACTIVITY_TASK_CANCELED', '/undo-activate/'],
  },
  'environment-continues-as-new': { end: 'open', shows: ['EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW', 'far off'] },
  'environment-continued': { end: 'open', shows: ['far off', '"state":{"name":"production"', '/retire'] },
  // Before what people ask for was recorded first.
  'environment-rollback-answered-first': {
    end: 'open',
    shows: ['EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED', 'version 1 was better'],
  },
  'environment-person-deployment-answered-first': {
    end: 'open',
    shows: ['EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED', 'version 1 was asked for', '"id":"deploy/'],
  },
  'environment-rollback': { end: 'open', shows: ['EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED', 'version 1 was better'] },
  'environment-person-deployment': {
    end: 'open',
    shows: ['EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED', 'version 1 was asked for', '"id":"deploy/'],
  },
  // An update came while a local activity was under way: of a chaos run, so no drive makes it again.
  'environment-update-beside-local': { end: 'open', shows: ['has no earlier release to go back to', 'core_local_activity'] },
  'environment-withdrawn-in-bake': { end: 'open', shows: ['EVENT_TYPE_ACTIVITY_TASK_CANCELED', '/undo-clear/'] },
  // Before operations of the way back were named by their fences.
  'environment-undo-retried': { end: 'open', shows: ['"after":', '/undo-stage/5', '/undo-activate/1'] },
  'environment-migration-taken-down': { end: 'open', shows: ['"migrate"', 'failed under traffic', '/migrate-down-'] },
  'environment-migrations-rolled-back': {
    end: 'open',
    shows: ['/migrate-down-', '"reason":"to ', '"command":["node","-e","0"]'],
  },
  'environment-migration-parked': { end: 'open', shows: ['cannot be taken down', '"after":', '/undo-stage/1'] },
  'environment-recovered-onto-provisional': { end: 'open', shows: ['recover-onto-provisional', 'observe', '/undo-stage/'] },
  // Before a fresh owner told anybody.
  'environment-recovered-before-telling': { end: 'open', shows: ['observe', 'EVENT_TYPE_TIMER_FIRED', '/undo-stage/'] },
  'environment-recovered': { end: 'open', shows: ['observe', '/undo-stage/', 'recovery-tells', 'answerRun', 'callRuns'] },
  'run-asked-to-say-again': { end: 'rolled_back', shows: ['sayAgain', 'says-it-again', 'its workflow was ended from outside'] },
  'run-overruled': { end: 'rolled_back', shows: ['undone-is-not-retried', 'goes first (it smells)'] },
  'run-group-cut-off': { end: 'rolled_back', shows: ['what-stands-is-not-skipped', 'a newer push to', '/ship/west/2'] },
  'environment-back-to-a-level': { end: 'open', shows: ['back-to-a-level', '/undo-clear/', '/migrate-down-'] },
  'recovery-nothing-owed': { end: 'errored', shows: ['readRemains', 'terminated: from outside', '"keep":true', 'finishRun'] },
  'recovery-before-a-plan': { end: 'errored', shows: ['runs-of-the-push', 'openWorkspace', 'compileRun'] },
  'recovery-taken-back': { end: 'rolled_back', shows: ['"type":"withdraw"', 'runScript'] },
  'recovery-blocked': { end: 'open', shows: ['rollback_blocked', 'EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED'] },
  'recovery-of-a-recovery': { end: 'rolled_back', shows: ['"from":"recovery"', 'there is room again', 'runScript'] },
  'recovery-settled': { end: 'succeeded', shows: ['"phase":"settled"', 'runScript'] },
} as const satisfies Record<`${WorkflowType}-${string}`, RecordedPath>

export type PathName = keyof typeof recordedPaths

export function isPathName(name: string): name is PathName {
  return name in recordedPaths
}

export function listPathNames(): PathName[] {
  return Object.keys(recordedPaths).filter(isPathName)
}

/** Also for the compiled recorder: the histories lie beside the sources. */
export const historiesDirectory = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../test/replay/histories' : './histories', import.meta.url),
)

export function historyFile(name: PathName): string {
  return join(historiesDirectory, `${name}.json`)
}

export function readHistory(name: PathName): string {
  return readFileSync(historyFile(name), 'utf8')
}
