/** The points that processes of Belay pass, and what may befall them there. */

export type PointBlow = 'kill' | 'stop' | 'throw'

export interface FaultPoint {
  name: string
  blows: readonly PointBlow[]
}

const activities = [
  ...['compileRun', 'recordRunEvents', 'finishRun', 'createRelease', 'tellEnvironment', 'answerRun', 'isRunOpen'],
  ...['loadEnvironment', 'takeFence', 'recordEnvironment'],
  ...['observe', 'stage', 'check', 'activate', 'verify', 'retire', 'clear'],
  ...['openWorkspace', 'runSegment', 'closeWorkspace'],
  // Scripts of the runner: the undo of a step.
  'undo',
]

const lines = [
  ...['hook.received', 'hook.answered'],
  ...['dispatcher.leased', 'dispatcher.start', 'dispatcher.started', 'dispatcher.acknowledge', 'dispatcher.acknowledged'],
  ...['dispatcher.cancel', 'dispatcher.cancelled'],
  ...['outbox.tell', 'outbox.told'],
  ...['journal.started', 'journal.outcome'],
  // That a registry's answer is lost is a matter of its wire.
  'image.pushed',
]

/** Carried out, and the answer never came: the effect is there, and whoever asked does not know. */
const answers = [
  'image.pushed',
  'keeper.stage.answered',
  'keeper.activate.answered',
  'keeper.retire.answered',
  'keeper.clear.answered',
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
  ...['hook.persisted', 'rollback.asked', 'rollback.queued'].map((name): FaultPoint => ({ name, blows: ['kill', 'throw'] })),
]
