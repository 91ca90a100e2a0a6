import type { Migration } from '../migrate.ts'
import { firstPath } from './001-first-path.ts'

/** All of them, in order. */
export const migrations = [firstPath] satisfies readonly Migration[]
