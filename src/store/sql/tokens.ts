import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { TokenStore } from '../store.ts'
import type { StoreDatabase } from './database.ts'
import { fromJson, toJson } from './json.ts'

export function createTokenStore(database: StoreDatabase): TokenStore {
  const { read, now } = database
  return {
    async create({ name, role, expiresAt }) {
      const token = makeToken('bly_')
      await database.write(async (tx) => {
        const at = now()
        await tx.updateTable('tokens').set({ revoked_at: at }).where('name', '=', name).where('revoked_at', 'is', null).execute()
        const row = {
          id: randomUUID(),
          name,
          role,
          hash: hashOf(token),
          created_at: at,
          expires_at: expiresAt ?? null,
          revoked_at: null,
        }
        await tx.insertInto('tokens').values(row).execute()
      })
      return token
    },
    async find(token) {
      const row = await selectLive(database).where('hash', '=', hashOf(token)).executeTakeFirst()
      return row === undefined ? undefined : { name: row.name, role: row.role }
    },
    async hasAny(role) {
      return (await selectLive(database).where('role', '=', role).limit(1).executeTakeFirst()) !== undefined
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

function selectLive({ read, now }: StoreDatabase) {
  return read
    .selectFrom('tokens')
    .select(['name', 'role'])
    .where('revoked_at', 'is', null)
    .where((row) => row.or([row('expires_at', 'is', null), row('expires_at', '>', now())]))
}

/** 256 random bits; the prefix tells people (and secret scanners) what it is. */
function makeToken(prefix: 'bly_' | 'bls_'): string {
  return prefix + randomBytes(32).toString('base64url')
}

/** A random token needs no salt and no slow hash: there is nothing to guess. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
