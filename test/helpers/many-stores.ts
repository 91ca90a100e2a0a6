import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../src/store/open-store.ts'
import type { Store } from '../../src/store/store.ts'

export interface ManyStores {
  readonly url: string
  /** All of them see the same data, as servers on several machines do. */
  open(count: number): Promise<Store[]>
  /** The clock of all of them; undefined: this machine's. */
  now: number | undefined
  cleanup(): Promise<void>
}

/** Stores on one PostgreSQL database, with shared directories. */
export async function prepareManyStores(url: string): Promise<ManyStores> {
  const directory = await mkdtemp(join(tmpdir(), 'belay-stores-'))
  const opened: Store[] = []
  const many: ManyStores = {
    url,
    now: undefined,
    async open(count) {
      const options = {
        database: { url },
        blobs: join(directory, 'blobs'),
        logs: join(directory, 'logs'),
        now: () => many.now ?? Date.now(),
      }
      const stores = await Promise.all(Array.from({ length: count }, () => openStore(options)))
      opened.push(...stores)
      return stores
    },
    async cleanup() {
      for (const store of opened.splice(0)) await store.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
  return many
}
