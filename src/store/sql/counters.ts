import type { Tx } from './database.ts'

/** The next number of a counter, from 1, without gap: a transaction that is rolled back gives its number back. */
export async function nextNumber(tx: Tx, name: string): Promise<number> {
  const raised = await tx
    .updateTable('counters')
    .set((row) => ({ value: row('value', '+', 1) }))
    .where('name', '=', name)
    .returning('value')
    .executeTakeFirst()
  if (raised !== undefined) return raised.value
  await tx.insertInto('counters').values({ name, value: 1 }).execute()
  return 1
}

export const counters = {
  /** "Newer" between triggers, whatever made them. */
  trigger: 'trigger',
  command: 'command',
  audit: 'audit',
  run: (project: string) => `run/${project}`,
  release: (project: string) => `release/${project}`,
} as const
