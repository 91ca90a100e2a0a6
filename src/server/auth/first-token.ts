import type { Store } from '../../store/store.ts'

/** Makes the admin token of a new store. Returned here once, for the caller to show; later calls return undefined. */
export async function ensureAdminToken(store: Store): Promise<string | undefined> {
  if (await store.tokens.hasAny('admin')) return undefined
  return store.tokens.create({ name: 'admin', role: 'admin' })
}
