import { expect, it } from 'vitest'
import type { Ledger, Verdict } from './evidence.ts'
import { renderReport, type ReportInput } from './report.ts'

const ledger: Ledger = {
  seed: 7,
  commit: 'abc1234',
  startedAt: 1_000,
  healedAt: 61_500,
  posts: [
    { at: 1_000, deliveryId: 'a', branch: 'main', sha: 'a', pipelines: ['one'], status: 202, runId: 'r' },
    { at: 1_000, deliveryId: 'a', branch: 'main', sha: 'a', pipelines: ['one'], status: 200, runId: 'r' },
    { at: 2_000, deliveryId: 'b', branch: 'main', sha: 'b', pipelines: [], status: 503 },
    { at: 3_000, deliveryId: 'b', branch: 'main', sha: 'b', pipelines: [] },
  ],
  requests: [
    { at: 5_000, kind: 'cancel', runId: 'r' },
    { at: 6_000, kind: 'freeze', environment: 'red' },
  ],
  unanswered: [{ at: 7_000, kind: 'freeze', environment: 'red' }],
  faults: [
    { at: 10_000, name: 'stop control-a', healedAt: 20_000, progressAt: 22_000 },
    { at: 30_000, name: 'kill runner-a', healedAt: 30_100, progressAt: 30_900 },
    { at: 40_000, name: 'kill runner-a', healedAt: 40_200, progressAt: 44_200 },
    { at: 50_000, name: 'kill runner-a', healedAt: 50_000, progressAt: 51_300 },
    { at: 51_000, name: 'kill runner-a', healedAt: 51_100 },
  ],
}

const verdict: Verdict = {
  violations: [],
  looked: { I1: 4, I4: 12, 'I4 undos': 2, I2: 3 },
  counts: {
    ...{ 'deliveries in all': 14, 'runs in all': 13, 'runs succeeded': 12, 'runs cancelled': 1 },
    ...{ 'deployments deploy deployed': 3, 'effects begin': 24, 'effects end': 24 },
  },
}

const input: ReportInput = {
  ledger,
  verdict,
  deployments: [
    { kind: 'deploy', status: 'undone', undoneAt: 9_000 },
    { kind: 'deploy', status: 'undo_failed', undoneAt: 9_000 },
    { kind: 'deploy', status: 'deployed' },
    { kind: 'rollback', status: 'deployed' },
  ],
  schedule: [
    { at: 1, do: 'fault', fault: { family: 'stop', part: 'control-a', forMs: 12_000 } },
    { at: 2, do: 'cancel', pick: 0, server: 'server-a' },
    { at: 3, do: 'fault', fault: { family: 'stop', part: 'runner-a', forMs: 12_000 } },
  ],
  idle: new Map([['cancel: no run is open', 2]]),
  unfinished: [],
  healedWithinMs: 12_340,
}

it('prints the run, its faults with their times of recovery, the counts, and what was looked at', () => {
  expect(renderReport(input)).toBe(`chaos run
seed                                  7
commit                          abc1234
under faults                     60.5 s
from the healing to rest         12.3 s
posts                     4, 2 answered
deliveries                           14
faults                                5
releases taken back                   1
rollbacks by a person                 1
cancels accepted                      1

planned     count
cancel          1
fault stop      2

fault           count  recovery, median    max  none seen  not mended
kill runner-a       4             1.3 s  4.0 s          1           0
stop control-a      1             2.0 s  2.0 s          0           0

asked for by a person      count
cancel                         1
freeze                         1
freeze, without an answer      1

run        count
cancelled      1
in all        13
succeeded     12

deployment       count
deploy deployed      3

effect  count
begin      24
end        24

met nothing, or refused  count
cancel: no run is open       2

looked at  count
I1             4
I2             3
I4            12
I4 undos       2

no violation
`)
})

it('names each violation with its facts', () => {
  const violations = [
    { invariant: 'I1', about: 'delivery a', facts: 'has no run' },
    { invariant: 'I6', about: 'run r', facts: 'two\nlines' },
  ]
  expect(renderReport({ ...input, verdict: { ...verdict, violations } })).toMatch(
    /\nviolations: 2\n {2}I1 delivery a\n {5}has no run\n {2}I6 run r\n {5}two\n {5}lines\n$/,
  )
})

it('a fault that nothing was seen to recover from has no times, and a run that was not healed says so', () => {
  const lost: Ledger = {
    seed: 1,
    commit: 'c',
    startedAt: 0,
    posts: [],
    requests: [],
    unanswered: [],
    faults: [{ at: 1, name: 'wire registry 500' }],
  }
  const text = renderReport({
    ...input,
    ledger: lost,
    verdict: { violations: [], looked: {}, counts: {} },
    unfinished: ['run 7'],
  })
  expect(text).toMatch(/^under faults +never healed$/m)
  expect(text).toContain('still under way: 1\n  run 7\n')
  expect(text).toContain('wire registry 500      1                 -    -          0           1\n')
  expect(text).not.toContain('\nrun ')
})
