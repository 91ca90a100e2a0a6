import { accessSync, constants, readFileSync } from 'node:fs'

/** Where system programs lie; many a PATH lacks them. */
const besidePath = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** HAProxy's program; undefined if it is not installed. */
export function findHaproxy(path = process.env['PATH'] ?? ''): string | undefined {
  return [...path.split(':'), ...besidePath]
    .filter((directory) => directory.startsWith('/'))
    .map((directory) => `${directory}/haproxy`)
    .find(isExecutable)
}

export function findObstacle(): string | undefined {
  if (findHaproxy() !== undefined) return undefined
  return 'HAProxy is not installed (Debian: `apt-get install haproxy`), or the program `haproxy` is not on the PATH.'
}

/** The user that the package made for it. Not `nobody`: applications run as that, and could end it. */
export function findUser(passwd = '/etc/passwd'): { name: string; group: string } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const known = /^haproxy:/m.test(readOr(passwd)) && /^haproxy:/m.test(readOr('/etc/group'))
  return known ? { name: 'haproxy', group: 'haproxy' } : undefined
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // No such file: no such user.
    return ''
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
