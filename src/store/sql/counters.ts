import type { Tx } from './database.ts'

/**
 * The next number of a counter, from 1, without gap: a transaction that is rolled back gives its number back. Until the
 * transaction ends nobody else gets one, so numbers become visible in their order.
 */
export async function nextNumber(tx: Tx, name: string): Promise<number> {
  const { value } = await tx
    .insertInto('counters')
    .values({ name, value: 1 })
    .onConflict((conflict) => conflict.column('name').doUpdateSet((row) => ({ value: row('counters.value', '+', 1) })))
    .returning('value')
    .executeTakeFirstOrThrow()
  return value
}

export const counters = {
  /** "Newer" between triggers, whatever made them. */
  trigger: 'trigger',
  command: 'command',
  outbox: 'outbox',
  audit: 'audit',
  run: (project: string) => `run/${project}`,
  release: (project: string) => `release/${project}`,
} as const
