import { existsSync } from 'node:fs'
import { posix } from 'node:path'

/**
 * The image's command as it is run on the host: the image is a directory and not the root of a file system, so every
 * argument that names something of the image by its absolute path is replaced by where it lies. `node` and the like
 * come from the host's PATH.
 */
export function hostCommand(command: readonly string[], directory: string): string[] {
  return command.map((argument) => {
    const path = inImage(argument, directory)
    return path !== undefined && existsSync(path) ? path : argument
  })
}

/** Where the program starts: the image's working directory if it is there, else the image's root. */
export function hostWorkingDirectory(workingDirectory: string, directory: string): string {
  const path = inImage(workingDirectory, directory)
  return path !== undefined && existsSync(path) ? path : directory
}

function inImage(path: string, directory: string): string | undefined {
  if (!posix.isAbsolute(path)) return undefined
  const normal = posix.normalize(path).replace(/\/+$/, '')
  return normal === '' ? directory : `${directory}${normal}`
}
