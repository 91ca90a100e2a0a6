import type { Segment } from '../domain/plan.ts'
import type { Node } from './graph.ts'
import { sortByNeeds } from './graph.ts'

export interface SegmentNode extends Node {
  /** `shared`: may share a segment; `alone`: a runner's too, but its outcome must be known outside; `outside`: not a runner's. */
  place: 'shared' | 'alone' | 'outside'
}

/**
 * Cuts the steps of a plan into segments: what a runner executes as one activity. A segment starts and ends as a whole,
 * so steps share one only if nobody waits longer for it than for the step itself:
 *
 * 1. every outside dependant of any of them depends on all its last steps;
 * 2. what any of them needs from outside is needed, near or far, by all its first steps.
 *
 * No path leaves a segment and comes back: what comes back would be needed from outside, so by a first step, from which
 * the path set out. The longest segment from the left is taken each time: the same plan, the same cuts.
 */
export function cutSegments(nodes: readonly SegmentNode[]): Segment[] {
  const sorted = sortByNeeds(nodes)
  const masks = masksOf(sorted)
  const written = new Map(nodes.map(({ id }, index) => [id, index]))
  const segments: Segment[] = []
  let start = 0
  while (start < sorted.length) {
    const length = longestFrom(sorted, masks, start)
    const steps = sorted.slice(start, start + Math.max(1, length)).map(({ id }) => id)
    if (length > 0) {
      steps.sort((a, b) => (written.get(a) ?? 0) - (written.get(b) ?? 0))
      segments.push({ id: segments.length, steps })
    }
    start += Math.max(1, length)
  }
  return segments
}

/** By index in the sorted order, one bit each: what a step needs, and all it needs near or far. */
interface Masks {
  needs: bigint[]
  ancestors: bigint[]
  /** Indexes of the steps that need it. */
  dependants: number[][]
}

function masksOf(sorted: readonly SegmentNode[]): Masks {
  const index = new Map(sorted.map(({ id }, at) => [id, at]))
  const masks: Masks = { needs: [], ancestors: [], dependants: sorted.map(() => []) }
  sorted.forEach(({ needs }, at) => {
    const from = needs.map((need) => index.get(need) ?? 0)
    masks.needs.push(from.reduce((mask, need) => mask | bit(need), 0n))
    masks.ancestors.push(from.reduce((mask, need) => mask | bit(need) | (masks.ancestors[need] ?? 0n), 0n))
    for (const need of from) masks.dependants[need]?.push(at)
  })
  return masks
}

/** How many steps from there on make the longest valid segment; 0 if that step is not a runner's. */
function longestFrom(sorted: readonly SegmentNode[], masks: Masks, start: number): number {
  const first = sorted[start]
  if (first?.place !== 'shared') return first?.place === 'alone' ? 1 : 0
  const dependants: number[] = []
  let longest = 1
  let blocker: number | undefined
  let members = 0n
  let lasts = 0n
  let fromOutside = 0n
  // What all first steps need; every bit is set until the first of them is seen.
  let common = -1n
  for (let at = start; sorted[at]?.place === 'shared'; at++) {
    const needs = masks.needs[at] ?? 0n
    if ((needs & members) === 0n) common &= masks.ancestors[at] ?? 0n
    fromOutside |= needs & ~members
    // Rule 2 once broken stays broken: what comes later in the order is needed by nobody here.
    if ((fromOutside & ~common) !== 0n) break
    members |= bit(at)
    lasts = (lasts & ~needs) | bit(at)
    dependants.push(...(masks.dependants[at] ?? []))
    // Rule 1 may be mended by what comes later; who broke it last time is asked first.
    const breaks = (dependant: number) => dependant > at && (lasts & ~(masks.ancestors[dependant] ?? 0n)) !== 0n
    blocker = blocker !== undefined && breaks(blocker) ? blocker : dependants.find(breaks)
    if (blocker === undefined) longest = at - start + 1
  }
  return longest
}

function bit(index: number): bigint {
  return 1n << BigInt(index)
}
