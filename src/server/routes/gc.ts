import type { FastifyInstance } from 'fastify'
import type { GcReport } from '../../api/gc-schemas.ts'
import { routes } from '../../api/routes.ts'
import { whySwept, type Swept } from '../../domain/keep.ts'
import { limitedSignal } from '../../process/limited-signal.ts'
import type { RouteDeps } from '../app.ts'
import { actorOf } from '../auth/authenticate.ts'
import { cleanUp, keepOf, previewCleanUp } from '../clean-up.ts'
import { mount } from './mount.ts'

/** One call removes for so long, and says whether there is more: nobody's connection waits for hours. */
const callMs = 20_000

/** What the clean-up would remove, and to have it do so now. */
export function mountGc(app: FastifyInstance, deps: RouteDeps): void {
  const report = (swept: readonly Swept[], more: boolean): GcReport => ({
    items: swept.map((one) => ({ ...one, why: whySwept(one.kind, keepOf(deps.config)) })),
    more,
  })
  mount(app, routes.previewGc, async () => report(await previewCleanUp(deps), false))

  mount(app, routes.runGc, async ({ caller }) => {
    const signal = limitedSignal(callMs, deps.closing)
    const { swept, more } = await cleanUp(deps, { actor: actorOf(caller).id, signal })
    return report(swept, more)
  })
}
