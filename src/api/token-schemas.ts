import { z } from 'zod'
import { pageOf } from './pages.ts'

export const tokenRoles = ['viewer', 'operator', 'approver', 'admin', 'runner'] as const
const TokenRole = z.enum(tokenRoles)

export const CreateToken = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._:-]{0,62}$/, 'expected a-z, 0-9, and after the first . _ : -, at most 63 in all'),
  role: TokenRole,
  /** `12h`, `30d`; absent: never. */
  expires_in: z.string().max(20).optional(),
  /** There is a valid one of this name: it ends. */
  replace: z.boolean().optional(),
})
export type CreateToken = z.infer<typeof CreateToken>

const token = { name: z.string(), role: TokenRole, expiresAt: z.number().optional() }

/** The only time that the token itself is shown. */
export const CreatedToken = z.object({ ...token, token: z.string() })
export type CreatedToken = z.infer<typeof CreatedToken>

export const TokenView = z.object({ ...token, createdAt: z.number() })
export type TokenView = z.infer<typeof TokenView>
export const TokenPage = pageOf(TokenView)

/** Not as strict as for a new one: every name that there is can be revoked. */
export const TokenParams = z.object({ name: z.string().min(1).max(200) })
