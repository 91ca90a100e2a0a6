import { randomUUID } from 'node:crypto'
import type { Delivery, DeliveryAnswer } from '../../domain/delivery.ts'
import type { AcceptDelivery, Accepted, DeliveryStore } from '../store.ts'
import { topics } from '../topics.ts'
import { counters, nextNumber } from './counters.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { createGroupCommit } from './group-commit.ts'
import { fromJson, toJson } from './json.ts'
import { lock, locks } from './lock.ts'
import { insertRun } from './new-run.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'
import { noteHead, takePolledRun } from './polls.ts'
import type { DeliveryTable } from './schema.ts'

export function createDeliveryStore(database: StoreDatabase): DeliveryStore {
  const acceptGrouped = createGroupCommit(database, async (tx, tell, input: AcceptDelivery) => {
    const accepted = await accept(tx, input, database.now())
    if (accepted.type === 'accepted') tell(topics.commands)
    return accepted
  })
  return {
    accept: acceptGrouped,
    async list(request) {
      const limit = limitOf(request)
      const position = positionOf(request)
      let query = database.read.selectFrom('deliveries').selectAll()
      if (request.project !== undefined) query = query.where('project', '=', request.project)
      if (position !== undefined) query = query.where('sequence', '<', position[0])
      const rows = await query
        .orderBy('sequence', 'desc')
        .limit(limit + 1)
        .execute()
      return pageOf(rows, limit, (row) => [row.sequence, 0], toDelivery)
    },
  }
}

async function accept(tx: Tx, input: AcceptDelivery, now: number): Promise<Accepted> {
  await lock(tx, locks.queue)
  const known = await tx
    .selectFrom('deliveries')
    .select(['body_digest', 'answer'])
    .where('project', '=', input.project)
    .where('delivery_id', '=', input.deliveryId)
    .executeTakeFirst()
  if (known !== undefined) {
    if (known.body_digest !== input.bodyDigest) return { type: 'conflict' }
    return { type: 'duplicate', answer: fromJson(known.answer) }
  }
  return insertDelivery(tx, input, now)
}

async function insertDelivery(tx: Tx, input: AcceptDelivery, now: number): Promise<Accepted> {
  const id = randomUUID()
  const sequence = await nextNumber(tx, counters.trigger)
  const type = 'trigger' in input.parsed ? 'accepted' : 'ignored'
  const answer = await makeAnswer(tx, input, { id, sequence, now })
  const row: DeliveryTable = {
    id,
    sequence,
    project: input.project,
    forge: input.forge,
    delivery_id: input.deliveryId,
    event: input.event,
    body_digest: input.bodyDigest,
    received_at: now,
    answer: toJson(answer),
  }
  await tx.insertInto('deliveries').values(row).execute()
  return { type, answer }
}

/** The run first, for the answer names it; its reference to the delivery is checked at the commit. */
async function makeAnswer(
  tx: Tx,
  { project, parsed, runUrl }: AcceptDelivery,
  delivery: { id: string; sequence: number; now: number },
): Promise<DeliveryAnswer> {
  const { id: deliveryRowId, sequence, now } = delivery
  if ('ignored' in parsed) {
    if (parsed.head !== undefined) await noteHead(tx, { project, ...parsed.head, now })
    return { ignored: parsed.ignored }
  }
  const { trigger } = parsed
  const polled = await takePolledRun(tx, { project, trigger, deliveryRowId, now })
  const run = polled ?? (await insertRun(tx, { project, trigger, sequence, now, deliveryRowId }))
  return { delivery: deliveryRowId, run: { id: run.id, number: run.number, url: runUrl(run.id) } }
}

function toDelivery(row: DeliveryTable): Delivery {
  return {
    id: row.id,
    sequence: row.sequence,
    project: row.project,
    forge: row.forge,
    deliveryId: row.delivery_id,
    event: row.event,
    bodyDigest: row.body_digest,
    receivedAt: row.received_at,
    answer: fromJson(row.answer),
  }
}
