/** The kernel kills a child when its parent dies, however it dies: Linux's parent-death signal, which `setpriv` asks for. */
import { findProgram } from './gate.ts'

export interface Command {
  file: string
  args: readonly string[]
}

/** The same program, asking for that first; as it was where there is no `setpriv`. What it starts itself is not tied. */
export function tieToOurLife({ file, args }: Command, path = `${process.env['PATH'] ?? ''}:/usr/bin:/bin`): Command {
  const setpriv = process.platform === 'linux' ? findProgram('setpriv', path, '/') : undefined
  return setpriv === undefined ? { file, args } : { file: setpriv, args: ['--pdeathsig', 'KILL', '--', file, ...args] }
}
