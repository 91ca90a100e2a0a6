/** The points that processes of Belay pass, and what may befall them there. `points.test.ts` holds them against the source. */

export type PointBlow = 'kill' | 'stop' | 'throw'

export interface FaultPoint {
  name: string
  blows: readonly PointBlow[]
}

/** Each with a point before, during and after it. */
const activities = [
  // Control.
  ...['compileRun', 'loadResume', 'recordRunEvents', 'finishRun', 'isRunnerActive', 'findRunner', 'noteHolder', 'cutLogs'],
  ...['createRelease', 'tellEnvironment', 'answerRun', 'callRuns', 'isRunOpen', 'readRemains'],
  ...['loadEnvironment', 'takeFence', 'recordEnvironment', 'findFreeze'],
  // The deployer, forward and back.
  ...['observe', 'migrate', 'stage', 'check', 'activate', 'verify', 'retire', 'clear', 'restore'],
  ...['undo-stage', 'undo-check', 'undo-activate', 'undo-verify', 'undo-retire', 'undo-clear', 'migrate-down'],
  // Runners: `undo` and `finally` are scripts.
  ...['openWorkspace', 'runSegment', 'closeWorkspace', 'undo', 'finally'],
]

/** Between two lines of which one is on its own without the other. */
const lines = [
  ...['hook.received', 'hook.answered'],
  ...['dispatcher.leased', 'dispatcher.start', 'dispatcher.started', 'dispatcher.acknowledge', 'dispatcher.acknowledged'],
  ...['dispatcher.cancel', 'dispatcher.cancelled'],
  ...['outbox.tell', 'outbox.told'],
  ...['janitor.recover', 'janitor.recovered'],
  ...['journal.begun', 'journal.started', 'journal.spawn', 'journal.outcome', 'journal.interrupted', 'journal.return'],
  ...['journal.report', 'checkpoint.packed', 'checkpoint.sent', 'checkpoint.lay', 'checkpoint.laid'],
  // That a registry's answer is lost is a matter of its wire.
  'image.pushed',
]

/** Carried out or not, the answer never comes: whoever asked does not know. */
const answers = [
  'hook.persisted',
  ...['start', 'cancel', 'retry'].flatMap((request) => [`${request}.asked`, `${request}.persisted`]),
  ...['rollback', 'deploy', 'freeze', 'unfreeze', 'block', 'unblock', 'settle'].flatMap((request) => [
    `${request}.asked`,
    `${request}.queued`,
  ]),
  ...['events.received', 'events.persisted', 'log.received', 'log.written', 'log.persisted'],
  ...['artifact.persisted', 'secrets.audited'],
  ...['stage', 'command', 'activate', 'retire', 'clear'].map((operation) => `keeper.${operation}.answered`),
]

export const faultPoints: readonly FaultPoint[] = [
  ...activities.flatMap((name): FaultPoint[] => [
    { name: `activity.${name}.before`, blows: ['kill', 'stop', 'throw'] },
    // What is under way has nobody yet who would hear an error.
    { name: `activity.${name}.during`, blows: ['kill', 'stop'] },
    { name: `activity.${name}.after`, blows: ['kill', 'stop', 'throw'] },
  ]),
  ...lines.map((name): FaultPoint => ({ name, blows: ['kill', 'stop'] })),
  ...answers.map((name): FaultPoint => ({ name, blows: ['kill', 'throw'] })),
]
