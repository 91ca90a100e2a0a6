import type { FastifyInstance } from 'fastify'
import type { RouteDeps } from '../../app.ts'
import { mountArtifacts } from './artifacts.ts'
import { mountRunnerLogs } from './logs.ts'
import { mountPresence } from './presence.ts'
import { mountRunnerEvents } from './events.ts'
import { mountSecrets } from './secrets.ts'
import { mountSegments } from './segments.ts'

/** What runners say to the server, and hear from it: `contract/runner-api.ts`. */
export function mountRunnerApi(app: FastifyInstance, deps: RouteDeps): void {
  mountPresence(app, deps)
  mountSegments(app, deps)
  mountRunnerEvents(app, deps)
  mountSecrets(app, deps)
  mountRunnerLogs(app, deps)
  mountArtifacts(app, deps)
}
