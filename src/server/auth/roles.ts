import type { Access } from '../../api/routes.ts'
import type { Role, SegmentGrant } from '../../store/store.ts'

/** Who is calling, once the route's rule has let them in. */
export type Caller = { type: 'anyone' } | { type: 'token'; name: string; role: Role } | { type: 'segment'; grant: SegmentGrant }

/** Which roles a rule lets in. Reading is for all people; a runner only gets what is a runner's; an admin may all. */
const allowed: Readonly<Record<Access, readonly Role[]>> = {
  public: [],
  viewer: ['viewer', 'operator', 'approver', 'admin'],
  operator: ['operator', 'admin'],
  approver: ['approver', 'admin'],
  admin: ['admin'],
  runner: ['runner', 'admin'],
  segment: [],
  runner_or_segment: ['runner', 'admin'],
}

export function allowsRole(access: Access, role: Role): boolean {
  return allowed[access].includes(role)
}

export function allowsSegment(access: Access): boolean {
  return access === 'segment' || access === 'runner_or_segment'
}
