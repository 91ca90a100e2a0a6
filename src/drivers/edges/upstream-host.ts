import { isIP } from 'node:net'

const label = '[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?'
const name = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`)

/** An IP address or a host name, and nothing that could mean more in a configuration or on a command line. */
export function isHost(text: string): boolean {
  // A zone, as in fe80::1%eth0, may hold anything.
  return (isIP(text) !== 0 && !text.includes('%')) || name.test(text)
}
