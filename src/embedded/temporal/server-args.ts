/** The development server's command line; every setting was measured, docs/architecture.md says why. */
export function temporalServerArgs(spec: { port: number; database: string }): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(spec.port), '--headless'],
    ...['--db-filename', spec.database, '--log-level', 'warn'],
    // WAL for speed, FULL so that what was acknowledged survives the loss of power.
    ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=2'],
    // 20 reads of the transfer queue a second is the default: every hop would wait up to 50 ms.
    ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=2000'],
  ]
}
