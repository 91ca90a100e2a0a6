import { createHash } from 'node:crypto'
import type { Plan } from '../domain/plan.ts'
import type { Digest } from '../domain/step.ts'

/** SHA-256 of the plan's canonical JSON: the same for the same plan, whatever wrote it. */
export function digestPlan(plan: Plan): Digest {
  return `sha256:${createHash('sha256').update(canonicalJson(plan)).digest('hex')}`
}

/** JSON with the keys of every map sorted and no white space; absent and `undefined` are one. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (isPlainMap(inner) ? sortKeys(inner) : inner))
}

function isPlainMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sortKeys(map: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
