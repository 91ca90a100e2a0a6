import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { PageRequest, Role, TokenInfo, TokenStore } from '../store.ts'
import { writeAudit } from './audit.ts'
import type { StoreDatabase, Tx } from './database.ts'
import { fromJson, present, toJson } from './json.ts'
import { lock, locks } from './lock.ts'
import { limitOf, pageOf, positionOf } from './pages.ts'
import type { TokenTable } from './schema.ts'

export function createTokenStore(database: StoreDatabase): TokenStore {
  const { read, now } = database
  return {
    async create({ name, role, expiresAt, origin }) {
      const token = makeToken('bly_')
      await database.write(async (tx) => {
        await lock(tx, locks.tokens)
        await replace(tx, { token, name, role, origin, now: now(), expiresAt, actor: belay })
      })
      return token
    },
    createFirst(input) {
      const token = makeToken('bly_')
      return database.write(async (tx) => {
        await lock(tx, locks.tokens)
        const live = await selectLive(tx, now()).where('role', '=', input.role).orderBy('created_at').execute()
        const known = live.find(({ name }) => name === input.name) ?? live[0]
        if (known !== undefined) return { made: false as const, ...present({ name: known.name, origin: known.origin }) }
        // One of this name that has expired, or has another role, is in the way.
        await replace(tx, { ...input, token, now: now(), actor: belay })
        return { made: true as const, token }
      })
    },
    async list(request) {
      const limit = limitOf(request)
      const rows = await selectKept(database, request)
        .limit(limit + 1)
        .execute()
      return pageOf(rows, limit, (row) => [row.created_at, row.id], toTokenInfo)
    },
    issue({ name, role, expiresAt, replace: mayReplace, actor }) {
      const token = makeToken('bly_')
      return database.write(async (tx) => {
        await lock(tx, locks.tokens)
        const known = await selectLive(tx, now()).where('name', '=', name).executeTakeFirst()
        if (known !== undefined && !mayReplace) return { type: 'taken' as const }
        if (await endsLastAdmin(tx, { name, by: { role, expiresAt }, now: now() })) return { type: 'last_admin' as const }
        await replace(tx, { token, name, role, now: now(), expiresAt, actor })
        return { type: 'made' as const, token }
      })
    },
    revoke({ name, actor }) {
      return database.write(async (tx) => {
        await lock(tx, locks.tokens)
        if (await endsLastAdmin(tx, { name, now: now() })) return 'last_admin'
        if (!(await revoke(tx, name, now()))) return 'unknown'
        await writeAudit(tx, { at: now(), actor, action: 'token.revoke', subject: name })
        return 'revoked'
      })
    },
    async find(token) {
      const row = await selectLive(read, now()).where('hash', '=', hashOf(token)).executeTakeFirst()
      return row === undefined ? undefined : { name: row.name, role: row.role }
    },
    async hasAny(role) {
      return (await selectLive(read, now()).where('role', '=', role).limit(1).executeTakeFirst()) !== undefined
    },
    async createSegmentToken(grant) {
      const token = makeToken('bls_')
      const row = { hash: hashOf(token), run_id: grant.runId, granted: toJson(grant), expires_at: grant.expiresAt }
      await database.write(async (tx) => {
        await tx.deleteFrom('segment_tokens').where('expires_at', '<=', now()).execute()
        await tx.insertInto('segment_tokens').values(row).execute()
      })
      return token
    },
    async findSegmentGrant(token) {
      const row = await read
        .selectFrom('segment_tokens')
        .select('granted')
        .where('hash', '=', hashOf(token))
        .where('expires_at', '>', now())
        .executeTakeFirst()
      return row === undefined ? undefined : fromJson(row.granted)
    },
  }
}

interface NewToken {
  token: string
  name: string
  role: Role
  now: number
  expiresAt?: number | undefined
  origin?: string | undefined
  /** Who made it, for the audit. */
  actor: string
}

/** Who makes the tokens that nobody asks for. */
const belay = 'belay'

/** The only way in: whatever had the name ends, and the audit has a row. */
async function replace(tx: Tx, wanted: NewToken): Promise<void> {
  const { name, role, expiresAt, now, actor } = wanted
  const known = await selectLive(tx, now).where('name', '=', name).executeTakeFirst()
  await revoke(tx, name, now)
  await insert(tx, wanted)
  const data = present({ role, expiresAt, replaces: known?.role })
  await writeAudit(tx, { at: now, actor, action: 'token.create', subject: name, data })
}

async function insert(tx: Tx, { token, name, role, now, expiresAt, origin }: NewToken): Promise<void> {
  const row: TokenTable = {
    id: randomUUID(),
    name,
    role,
    hash: hashOf(token),
    created_at: now,
    expires_at: expiresAt ?? null,
    revoked_at: null,
    origin: origin ?? null,
  }
  await tx.insertInto('tokens').values(row).execute()
}

async function revoke(tx: Tx, name: string, now: number): Promise<boolean> {
  const isLive = tx.updateTable('tokens').set({ revoked_at: now }).where('name', '=', name).where('revoked_at', 'is', null)
  return (await isLive.executeTakeFirst()).numUpdatedRows > 0n
}

interface EndOfToken {
  name: string
  /** What takes its place; absent: nothing. */
  by?: { role: Role; expiresAt?: number | undefined }
  now: number
}

/** Would nobody be left who can manage this server, now or later? Admins that expire count where there are no others. */
async function endsLastAdmin(tx: Tx, { name, by, now }: EndOfToken): Promise<boolean> {
  const admins = await selectLive(tx, now).where('role', '=', 'admin').execute()
  const lasting = admins.filter((admin) => admin.expires_at === null)
  const counted = lasting.length > 0 ? lasting : admins
  if (counted.length !== 1 || counted[0]?.name !== name) return false
  return by?.role !== 'admin' || (by.expiresAt !== undefined && lasting.length > 0)
}

function selectLive(from: StoreDatabase['read'], now: number) {
  return from
    .selectFrom('tokens')
    .select(['name', 'role', 'origin', 'expires_at'])
    .where('revoked_at', 'is', null)
    .where((row) => row.or([row('expires_at', 'is', null), row('expires_at', '>', now)]))
}

function selectKept({ read }: StoreDatabase, request: PageRequest) {
  const position = positionOf(request)
  let query = read.selectFrom('tokens').selectAll().where('revoked_at', 'is', null)
  if (position !== undefined) {
    const [createdAt, id] = [position[0], String(position[1])]
    query = query.where((row) =>
      row.or([row('created_at', '<', createdAt), row.and([row('created_at', '=', createdAt), row('id', '<', id)])]),
    )
  }
  return query.orderBy('created_at', 'desc').orderBy('id', 'desc')
}

function toTokenInfo(row: TokenTable): TokenInfo {
  return present({ name: row.name, role: row.role, createdAt: row.created_at, expiresAt: row.expires_at })
}

/** 256 random bits; the prefix tells people (and secret scanners) what it is. */
function makeToken(prefix: 'bly_' | 'bls_'): string {
  return prefix + randomBytes(32).toString('base64url')
}

/** A random token needs no salt and no slow hash: there is nothing to guess. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
