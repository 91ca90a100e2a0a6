/** Where the two tokens of a machine of its own lie: the admin's, for the CLI here, and the runner's. Mode 0600. */
import type { Places } from './places.ts'

export function adminTokenFile(places: Pick<Places, 'data'>): string {
  return `${places.data}/admin-token`
}

export function runnerTokenFile(places: Pick<Places, 'runner'>): string {
  return `${places.runner}/token`
}
