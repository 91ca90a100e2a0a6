/** A run that has ended badly goes on in its own record: what is done stays done, what was taken back comes again. */
import { fileURLToPath } from 'node:url'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deploying, outline, startScenario, type Scenario } from '../helpers/scenario.ts'
import { until } from '../helpers/until.ts'

let scenario: Scenario

beforeAll(async () => {
  scenario = await startScenario()
})

afterAll(() => scenario.stop())

async function belay(...args: string[]) {
  const { url, token, directory } = scenario.system
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
  const env = { BELAY_URL: url, BELAY_TOKEN: token, NO_COLOR: '1' }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], { cwd: directory, env, reject: false })
  return { code: exitCode, out: stdout, err: stderr }
}

/** `until` must be there before the step `gate` succeeds; each step leaves a line of what it did. */
function gated(name: string): string {
  return `steps:
  build:
    commands: ['echo built >> NOTES/${name}', 'echo "$BELAY_ATTEMPT" > made']
    artifacts: { paths: [made] }
  gate:
    commands: ['test -e NOTES/${name}-open', 'echo "gate saw $(cat made)" >> NOTES/${name}']
  last:
    commands: ['echo last >> NOTES/${name}']
`
}

const open = (name: string): void => writeFileSync(join(scenario.notes, `${name}-open`), '')

test('steps that succeeded are not run again, what they left is there, and the attempts before stay on record', async () => {
  const run = await scenario.run(gated('one'))
  expect(run.status).toBe('failed')
  open('one')
  const { code, out } = await belay('retry', String(run.number), '--reason', 'the gate is open')
  expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('succeeded') as string })
  const after = await scenario.end(run.id)
  expect(after).toMatchObject({ id: run.id, number: run.number, status: 'succeeded', round: 1 })
  expect(outline(after)).toEqual(['build: succeeded', 'gate: failed', 'gate: succeeded', 'last: skipped', 'last: succeeded'])
  expect(scenario.readNote('one')).toEqual(['built', 'gate saw 1', 'last'])
  const told = (await scenario.events(run.id)).flatMap(({ body }) => (body.type === 'run' ? [body.status] : []))
  expect(told).toEqual(['running', 'failed', 'queued', 'running', 'succeeded'])
})

test('from a step that had succeeded it does that one again, and all that follow from it', async () => {
  const run = await scenario.run(gated('two'))
  open('two')
  expect((await belay('retry', String(run.number), '--from', 'build')).code).toBe(0)
  expect(scenario.readNote('two')).toEqual(['built', 'built', 'gate saw 2', 'last'])
  const refused = await belay('retry', String(run.number), '--from', 'build')
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('has succeeded') as string })
})

test('what was cleaned up since the end is made again', async () => {
  const run = await scenario.run(`${gated('swept')}finally:
  told: { commands: [echo told >> NOTES/swept] }
`)
  expect(scenario.readNote('swept')).toEqual(['built', 'told'])
  rmSync(join(scenario.system.data, 'blobs/sha256'), { recursive: true })
  // Not yet: this round fails as the one before did, and comes to its end all the same.
  await belay('retry', String(run.number))
  expect(scenario.readNote('swept')).toEqual(['built', 'told', 'built', 'told'])
  open('swept')
  expect((await belay('retry', String(run.number))).code).toBe(0)
  expect(scenario.readNote('swept')).toEqual(['built', 'told', 'built', 'told', 'gate saw 2', 'last', 'told'])
})

test('a deployment that was taken back comes again, and what was made for it is the same release', async () => {
  const before = await scenario.run(deploying({ version: 'old' }))
  expect(before.status).toBe('succeeded')
  const late = "  late: { commands: ['echo late >> NOTES/three', 'test -e NOTES/three-open'] }\n"
  const run = await scenario.run(deploying({ version: 'new', after: late }))
  expect(run.status).toBe('rolled_back')
  const serves = async () => (await fetch(`${scenario.system.edge}/version`)).text()
  expect(await serves()).toBe('old')
  open('three')
  // Control goes away between the request and what becomes of it.
  const going = belay('retry', String(run.number))
  await until('it is queued again', async () => (await scenario.system.client.getRun({ id: run.id })).round === 1)
  scenario.system.kill('main')
  await going
  const after = await until('the run ends', async () => {
    const seen = await scenario.system.client.getRun({ id: run.id }).catch(() => undefined) // The server may be on its way up.
    return seen?.status === 'succeeded' ? seen : undefined
  })
  expect(outline(after)).toEqual([
    ...['image: succeeded', 'image_release: succeeded', 'ship: succeeded', 'ship: succeeded'],
    ...['late: failed', 'late: succeeded'],
  ])
  expect(await serves()).toBe('new')
  expect((await scenario.system.client.listReleases()).items.filter(({ runId }) => runId === run.id)).toHaveLength(1)
  const { current, history } = await scenario.system.client.getEnvironment('production')
  expect(current?.release.runId).toBe(run.id)
  expect(history.map(({ status }) => status)).toEqual(['kept', 'undone', 'kept'])
})

test('one that goes on can be cancelled, and gone on with once more', async () => {
  const pipeline =
    "steps:\n  wait:\n    commands: ['echo begun >> NOTES/four', 'until [ -e NOTES/four-open ]; do sleep 0.1; done']\n"
  const { id, number } = await scenario.start(pipeline)
  await scenario.noted('four')
  await scenario.system.client.cancelRun({ id })
  expect((await scenario.end(id)).status).toBe('cancelled')
  expect((await belay('retry', String(number), '--detach')).code).toBe(0)
  await until('it has begun again', () => scenario.readNote('four').length === 2)
  await scenario.system.client.cancelRun({ id })
  await until('it ends', async () => (await scenario.system.client.getRun({ id })).status === 'cancelled')
  open('four')
  expect((await belay('retry', String(number))).code).toBe(0)
  expect(await scenario.system.client.getRun({ id })).toMatchObject({ status: 'succeeded', round: 2 })
})
