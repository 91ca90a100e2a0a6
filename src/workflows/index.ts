/** The workflow types, by name: what Temporal runs. */
export { environment } from './environment.ts'
export { recovery } from './recovery.ts'
export { run } from './run.ts'
