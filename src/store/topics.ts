/** What one can wait for (see `hub.ts`). */
export const topics = {
  commands: 'commands',
  runEvents: (runId: string) => `events/${runId}`,
  log: (runId: string, step: string) => `log/${runId}/${step}`,
} as const
