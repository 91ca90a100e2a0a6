/** What `pack` pushed, run by a container engine: nothing of Belay's own has a hand in reading it. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { engineMissing } from '../../../../test/helpers/engine.ts'
import { registryMissing, startRegistry } from '../../../../test/helpers/registry.ts'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { pack } from './pack.ts'

test('a container engine pulls and runs an image of `pack` by its digest', async (context) => {
  const missing = engineMissing() ?? registryMissing()
  skipUnless(missing === undefined, missing ?? '')
  const directory = mkdtempSync(join(tmpdir(), 'belay-packed-'))
  context.onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const password = 'canary-of-a-registry'
  const registry = await startRegistry({ auth: { username: 'ci', password } })
  context.onTestFinished(() => registry.stop())
  const workspace = join(directory, 'checkout')
  mkdirSync(join(workspace, 'bin'), { recursive: true })
  // Static: it needs no other layer below it.
  copyFileSync('/bin/busybox', join(workspace, 'bin/busybox'))
  writeFileSync(join(workspace, 'greeting'), 'hello from a layer\n')
  const image = await pack.build({
    build: {
      ...{ builder: 'pack', repository: 'main/shop/packed', registry: 'main', tags: [], labels: {}, user: 10001 },
      files: { bin: '/bin', greeting: '/greeting' },
      entrypoint: ['/bin/busybox', 'cat', '/greeting'],
    },
    ...{ workspace, images: join(directory, 'images'), scratch: directory, secrets: {}, env: {} },
    registry: registry.access,
    log: () => undefined,
    spawned: () => undefined,
    signal: new AbortController().signal,
  })
  const auth = Buffer.from(`ci:${password}`).toString('base64')
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }), { mode: 0o600 })
  const name = `${registry.host}/shop/packed@${image.digest}`
  const { stdout } = await execa('docker', ['run', '--rm', name], { env: { DOCKER_CONFIG: directory } })
  expect(stdout).toBe('hello from a layer')
  await execa('docker', ['image', 'rm', name])
})
