import { BelayError } from '../../domain/errors.ts'
import type { Page, PageRequest } from '../store.ts'

/** Where a list goes on: the sort key of the last row, as (major, minor). */
export type Position = readonly [number, number | string]

const defaultLimit = 50
const greatestLimit = 200

export function limitOf(request: PageRequest): number {
  const limit = request.limit ?? defaultLimit
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new BelayError({ code: 'invalid_input', message: 'limit is not a positive whole number' })
  }
  return Math.min(limit, greatestLimit)
}

/** Undefined: from the start. A cursor that we did not make throws `invalid_input`. */
export function positionOf(request: PageRequest): Position | undefined {
  if (request.cursor === undefined) return undefined
  const position = parseCursor(request.cursor)
  if (position !== undefined) return position
  throw new BelayError({
    code: 'invalid_input',
    message: 'this is not a cursor of this list',
    hint: 'Pass `nextCursor` of the page before, unchanged.',
  })
}

/** A page out of one row more than `limit` was read, if there is one. */
export function pageOf<Row, T>(
  rows: readonly Row[],
  limit: number,
  position: (row: Row) => Position,
  item: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const page: Page<T> = { items: shown.map(item) }
  if (rows.length > limit && last !== undefined) {
    page.nextCursor = Buffer.from(JSON.stringify(position(last))).toString('base64url')
  }
  return page
}

function parseCursor(cursor: string): Position | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (!Array.isArray(value) || value.length !== 2) return undefined
    const [major, minor] = value as unknown[]
    if (typeof major !== 'number' || (typeof minor !== 'number' && typeof minor !== 'string')) return undefined
    return [major, minor]
  } catch {
    // Not JSON: refused by the caller, with a hint.
    return undefined
  }
}
