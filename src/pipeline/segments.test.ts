import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ancestorsOf, sortByNeeds } from './graph.ts'
import type { SegmentNode } from './segments.ts'
import { cutSegments } from './segments.ts'
import { compileText } from './testing.ts'

/** Any order of steps: each needs some of those before it, and then all are shuffled as someone may have written them. */
const graphs = fc.integer({ min: 1, max: 14 }).chain((size) =>
  fc
    .tuple(
      ...Array.from({ length: size }, (_, index) =>
        fc.record({
          needs: fc.subarray(
            Array.from({ length: index }, (_unused, before) => `s${before}`),
            { maxLength: Math.min(3, index) },
          ),
          place: fc.constantFrom<SegmentNode['place']>('shared', 'shared', 'shared', 'shared', 'alone', 'outside'),
        }),
      ),
    )
    .map((nodes) => nodes.map((node, index): SegmentNode => ({ id: `s${index}`, ...node })))
    .chain((nodes) => fc.oneof(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length }))),
)

/** What the language says of a segment, word for word and slowly. */
function rulesBroken(nodes: readonly SegmentNode[], steps: readonly string[]): string[] {
  const ancestors = ancestorsOf(nodes)
  const inside = new Set(steps)
  const members = nodes.filter(({ id }) => inside.has(id))
  const lasts = members.filter(({ id }) => !members.some(({ needs }) => needs.includes(id)))
  const firsts = members.filter(({ needs }) => !needs.some((need) => inside.has(need)))
  const outside = nodes.filter(({ id }) => !inside.has(id))
  const dependants = outside.filter(({ needs }) => needs.some((need) => inside.has(need)))
  const fromOutside = members.flatMap(({ id }) => [...(ancestors.get(id) ?? [])].filter((need) => !inside.has(need)))
  return [
    ...(dependants.every(({ id }) => lasts.every((last) => ancestors.get(id)?.has(last.id)))
      ? []
      : ['a dependant waits for more than it needs']),
    ...(fromOutside.every((need) => firsts.every(({ id }) => ancestors.get(id)?.has(need)))
      ? []
      : ['a first step waits for more than it needs']),
    ...(fromOutside.some((need) => steps.some((step) => ancestors.get(need)?.has(step))) ? ['a path leaves and comes back'] : []),
  ]
}

describe('segments', () => {
  it('hold every step of a runner exactly once, and no other', () => {
    fc.assert(
      fc.property(graphs, (nodes) => {
        const expected = nodes.filter(({ place }) => place !== 'outside').map(({ id }) => id)
        expect(
          cutSegments(nodes)
            .flatMap(({ steps }) => steps)
            .sort(),
        ).toEqual(expected.sort())
      }),
      { numRuns: 300 },
    )
  })

  it('make nobody wait longer than for the steps themselves', () => {
    fc.assert(
      fc.property(graphs, (nodes) => {
        for (const { steps } of cutSegments(nodes)) expect(rulesBroken(nodes, steps)).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it('hold a step that is alone by itself', () => {
    fc.assert(
      fc.property(graphs, (nodes) => {
        const alone = new Set(nodes.filter(({ place }) => place === 'alone').map(({ id }) => id))
        for (const { steps } of cutSegments(nodes)) expect(steps.length === 1 || !steps.some((id) => alone.has(id))).toBe(true)
      }),
    )
  })

  it('could not be longer: no segment and the step that follows it in the order make one', () => {
    fc.assert(
      fc.property(graphs, (nodes) => {
        const sorted = sortByNeeds(nodes)
        for (const { steps } of cutSegments(nodes)) {
          const next = sorted[Math.max(...steps.map((step) => sorted.findIndex(({ id }) => id === step))) + 1]
          const shared = next?.place === 'shared' && sorted.find(({ id }) => id === steps[0])?.place === 'shared'
          expect(shared && rulesBroken(nodes, [...steps, next.id]).length === 0).toBe(false)
        }
      }),
    )
  })

  it('are numbered from 0 and list their steps as they were written', () => {
    fc.assert(
      fc.property(graphs, (nodes) => {
        const written = nodes.map(({ id }) => id)
        cutSegments(nodes).forEach(({ id, steps }, index) => {
          expect(id).toBe(index)
          expect(steps).toEqual(written.filter((step) => steps.includes(step)))
        })
      }),
    )
  })

  const segments = (text: string) => compileText(text).segments.map(({ steps }) => steps.join(' '))

  it('take a row of commands as one', () => {
    expect(segments('steps: { a: { commands: [x] }, b: { commands: [x] }, c: { commands: [x] } }')).toEqual(['a b c'])
  })
  it('take a fork that joins again as one', () => {
    const text = `steps:
  a: { commands: [x] }
  b: { needs: [a], commands: [x] }
  c: { needs: [a], commands: [x] }
  d: { needs: [b, c], commands: [x] }
`
    expect(segments(text)).toEqual(['a b c d'])
  })
  it('are cut at a step with a checkpoint, which is of use once it is known elsewhere', () => {
    expect(segments('steps: { a: { commands: [x] }, b: { commands: [x], checkpoint: true }, c: { commands: [x] } }')).toEqual([
      'a',
      'b',
      'c',
    ])
  })
  it('are cut at a step with an undo and at an image', () => {
    const image = 'build_image: { builder: pack, repository: a, files: { a: /a }, entrypoint: [a] }'
    const text = `steps: { a: { commands: [x] }, b: { commands: [x], undo: { commands: [y] } }, c: { commands: [x] }, d: { ${image} } }`
    expect(segments(text)).toEqual(['a', 'b', 'c', 'd'])
  })
  it('part two rows that an outside step needs only one of', () => {
    const text = `steps:
  build: { needs: [], commands: [x] }
  docs: { needs: [], commands: [x] }
  image: { needs: [build], build_image: { builder: pack, repository: a, files: { a: /a }, entrypoint: [a] } }
`
    expect(segments(text)).toEqual(['build', 'docs', 'image'])
  })
  it('come out of the most steps there may be', () => {
    const nodes = Array.from({ length: 500 }, (_, index): SegmentNode => {
      if (index < 250) return { id: `s${index}`, needs: [], place: 'shared' }
      return { id: `s${index}`, needs: [`s${index - 250}`], place: 'outside' }
    })
    expect(cutSegments(nodes)).toHaveLength(250)
  })
})
