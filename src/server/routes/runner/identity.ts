import { BelayError } from '../../../domain/errors.ts'
import type { Caller } from '../../auth/roles.ts'

/** Who a runner is, is said by its token and by nothing in what it sends. */
export function tokenNameOf(caller: Caller): string {
  if (caller.type !== 'token') throw new BelayError({ code: 'forbidden', message: "this needs a runner's token" })
  return caller.name
}

export function spokenForBy(runner: string, token: string): BelayError {
  return new BelayError({
    code: 'forbidden',
    message: `another token speaks for the runner "${runner}": "${token}"`,
    hint: `Each runner needs a name of its own. If that token is not used any more, an admin ends it: belay token revoke ${token}`,
  })
}
