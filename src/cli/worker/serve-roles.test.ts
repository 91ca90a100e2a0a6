/** A worker as whoever restarts it sees it: the built program. Needs `npm run build`. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { findFreePort } from '../../process/free-port.ts'

const main = fileURLToPath(new URL('../../../dist/src/cli/main.js', import.meta.url))

let root: string
let keeper: number | undefined

afterEach(() => {
  if (keeper !== undefined) process.kill(keeper, 'SIGTERM')
  rmSync(root, { recursive: true, force: true })
})

test('a deployer that finds no database ends and says so, though its keeper is up already and stays', async () => {
  root = mkdtempSync(join(tmpdir(), 'belay-serve-'))
  const nobody = String(await findFreePort())
  const edge = String(await findFreePort())
  const config = `data: data
database: { url: { from_env: DATABASE_URL } }
temporal: { address: "127.0.0.1:${nobody}" }
projects: { shop: { repository: "file:///nowhere", environments: [staging] } }
environments: { staging: { target: process, edge: { listen: "127.0.0.1:${edge}" } } }
`
  writeFileSync(join(root, 'belay.config.yml'), config)
  const database = `postgres://belay@127.0.0.1:${nobody}/belay`
  const env = { DATABASE_URL: database, PATH: process.env['PATH'] ?? '', HOME: root, BELAY_WORK_DIR: join(root, 'work') }
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [main, 'worker', 'deployer'], {
    ...{ cwd: root, env, encoding: 'utf8', timeout: 40_000, killSignal: 'SIGKILL' },
  })
  const [, pid] = /"part":"keeper","pid":(\d+),"msg":"ready"/.exec(stdout) ?? []
  keeper = pid === undefined ? undefined : Number(pid)
  expect(stderr).toContain(`Does PostgreSQL answer at 127.0.0.1:${nobody}`)
  expect({ status, signal }).toEqual({ status: 5, signal: null })
  expect(keeper).toBeDefined()
  // It would throw if there were none.
  if (keeper !== undefined) process.kill(keeper, 0)
})
