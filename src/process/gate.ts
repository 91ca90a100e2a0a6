/** A program that waits at a gate until its starter has seen to it: in the same process, so its pid is known before it begins. */
import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { Writable } from 'node:stream'

/** The word comes on descriptor 3. If there is none, the starter has died: then nothing is to begin. */
const waitAndBegin = 'read -r word <&3 || exit 126; exec 3<&-; exec "$@"'

export function gatedArgs(program: string, args: readonly string[]): { file: string; args: string[] } {
  return { file: '/bin/sh', args: ['-c', waitAndBegin, 'sh', program, ...args] }
}

/** `gate`: the child's descriptor 3, as its starter has it. */
export function letThrough(gate: unknown): void {
  if (!(gate instanceof Writable)) return
  // It may have been killed meanwhile; its end tells.
  gate.on('error', () => undefined)
  gate.end('go\n')
}

/** As the kernel's `execvp` would look: absolute path, or undefined. */
export function findProgram(file: string, path: string, cwd: string): string | undefined {
  const places = file.includes('/') ? [resolve(cwd, file)] : path.split(':').map((place) => resolve(cwd, place, file))
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK)
      return statSync(place).isFile()
    } catch {
      // Not there, or not for us: the next place.
      return false
    }
  })
}
