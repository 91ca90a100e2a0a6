import { DatabaseError } from 'pg'
import { BelayError } from '../../../domain/errors.ts'

/** SQLSTATEs, or their classes, that time or a person may cure. */
const unavailableCodes: readonly (readonly [prefix: string, hint: string])[] = [
  ['08', 'The connection was lost: is the network between here and PostgreSQL all right?'],
  ['25006', 'It is read-only, as a standby is: connect to the primary.'],
  ['25P03', 'A transaction stood still for too long: is the directory of the logs slow?'],
  ['28', 'PostgreSQL does not let us in: check the user and the password of the URL, and pg_hba.conf.'],
  ['3D000', 'There is no such database: create it, owned by the user of the URL.'],
  ['40', 'Transactions kept getting in each other’s way: try again.'],
  ['53100', 'The disk of PostgreSQL is full: free some space.'],
  ['53300', 'PostgreSQL has no connection left: raise its max_connections.'],
  ['53', 'PostgreSQL is out of memory or of another resource.'],
  ['55P03', 'Somebody holds a lock for too long.'],
  ['57014', 'A statement took too long: somebody may hold a lock.'],
  ['57P', 'PostgreSQL is stopping or starting.'],
  ['58', 'The disk of PostgreSQL does not answer: look at its log.'],
]

/** What the store throws for a fault of PostgreSQL: `unavailable` and retryable if it may pass; never with the password. */
export function toPostgresError(error: unknown, place: string): unknown {
  // A value that cannot be sent or read is our own fault; what is ours already says what it is.
  if (error instanceof BelayError || error instanceof TypeError || error instanceof RangeError) return error
  if (!(error instanceof DatabaseError)) return unavailable(`Does PostgreSQL answer at ${place}?`, codeOf(error), error)
  const code = error.code ?? 'no code'
  const known = unavailableCodes.find(([prefix]) => code.startsWith(prefix))
  if (known !== undefined) return unavailable(known[1], code, error)
  if (code === '42501') return mayNot(place, error)
  return new BelayError({ code: 'internal', message: `the database refused a statement (${code})`, cause: error })
}

/** Did transactions wait for each other, or overtake each other? Asked of an error that `toPostgresError` made. */
export function isConflict(error: unknown): boolean {
  if (!(error instanceof BelayError) || !(error.cause instanceof DatabaseError)) return false
  return error.cause.code === '40P01' || error.cause.code === '40001'
}

function unavailable(hint: string, code: string, cause: unknown): BelayError {
  return new BelayError({
    code: 'unavailable',
    message: `the database cannot be used now (${code})`,
    hint,
    retryable: true,
    cause,
  })
}

function mayNot(place: string, cause: unknown): BelayError {
  return new BelayError({
    code: 'refused',
    message: 'the user of the database may not do what is needed (42501)',
    hint: `Make it the owner of the database at ${place}.`,
    cause,
  })
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'no connection'
}
