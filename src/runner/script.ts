/** The script that a step's lines become. Pure, but for `writeScript`. */
import { randomUUID } from 'node:crypto'
import { closeSync, constants, fchmodSync, fchownSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Commands } from '../domain/plan.ts'
import type { StepUser } from './workspace/workspaces.ts'

/**
 * Each line is printed before it runs, and its number put into `progressFile`, so that the failing one can be named.
 * What is printed stands in single quotes, so no line can be taken for anything but text there; what runs stands as it is.
 */
export function composeScript(lines: readonly string[], progressFile: string): string {
  const parts = lines.map((line, index) => {
    const shown = `command printf '%s\\n' ${quote(echoOf(line))}`
    const noted = `command printf '%s' ${String(index + 1)} 2>/dev/null >${quote(progressFile)} || :`
    // The empty line ends a line that ends in a backslash, or in a comment.
    return `${shown}\n${noted}\n${line}\n\n`
  })
  // One pipe for both, or what was printed to the one could overtake what was printed to the other.
  return `exec 2>&1\n${parts.join('')}`
}

/** `$ ` before the first line, `> ` before those that follow in the same item. */
function echoOf(line: string): string {
  return `$ ${line.replace(/\n+$/, '').replaceAll('\n', '\n> ')}`
}

/** POSIX single quotes: everything but a single quote stands for itself. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** argv of the shell: stops at the first line that fails. */
export function shellArgs(shell: Commands['shell'], scriptFile: string): { file: string; args: string[] } {
  return shell === 'bash' ? { file: 'bash', args: ['-eo', 'pipefail', scriptFile] } : { file: 'sh', args: ['-e', scriptFile] }
}

/**
 * Writes the script into a directory that belongs to the step user, who may have put anything there: the directory is
 * opened without following a link, and the file is made new below that descriptor, never opened.
 */
export function writeScript(directory: string, content: string, user: StepUser | undefined): string {
  const name = `script-${randomUUID()}`
  const parent = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const place = process.platform === 'linux' ? `/proc/self/fd/${String(parent)}` : directory
    const descriptor = openSync(
      join(place, name),
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    )
    try {
      writeFileSync(descriptor, content)
      if (user !== undefined) fchownSync(descriptor, user.uid, user.gid)
      fchmodSync(descriptor, 0o500)
    } finally {
      closeSync(descriptor)
    }
  } finally {
    closeSync(parent)
  }
  return join(directory, name)
}
