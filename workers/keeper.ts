import { startKeeper } from '../src/embedded/keeper/keeper.ts'
import { say } from './say.ts'

/**
 * Starts the keeper in this process. Throws `conflict` if another one holds the directory. `stop` drains and stops the
 * applications too; a process that is merely killed leaves them running for the next keeper.
 */
export async function start(options: { directory: string; apps: string }): Promise<{ socket: string; stop(): Promise<void> }> {
  return startKeeper({ ...options, log: say })
}
