import type { Swept } from '../../domain/keep.ts'
import { findLayouts, sweepLayout } from '../images/layouts.ts'
import { dayMs, oldestOpenRun, type SweepContext } from './context.ts'
import { listKeptReleases } from './needed.ts'

/** Images on this disk that no release needs and no run that goes on can have made. What a registry holds is left to it. */
export async function* sweepImages(context: SweepContext): AsyncGenerator<Swept> {
  const { images, now, keep, dry } = context
  if (images === undefined) return
  for (const repository of await findLayouts(images)) {
    // Asked for anew each time: a layout takes a while.
    const madeBefore = await oldestOpenRun(context)
    const needed = (await listKeptReleases(context)).filter(({ image }) => image.repository === repository)
    const { count, bytes } = await sweepLayout({
      layout: `${images}/${repository}`,
      needed: new Set(needed.map(({ image }) => image.digest)),
      imagesBefore: Math.min(now - keep.artifactsMs, madeBefore),
      blobsBefore: Math.min(now - dayMs, madeBefore),
      dry,
    })
    yield { kind: 'images', count, bytes }
  }
}
