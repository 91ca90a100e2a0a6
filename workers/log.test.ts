import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../test/helpers/skips.ts'
import { mountSmallDisk, smallDiskMissing, type SmallDisk } from '../test/helpers/small-disk.ts'
import { createLog } from './log.ts'

const compiled = (name: string) => new URL(`../dist/workers/${name}.js`, import.meta.url)

describe('a log on a disk that is full', () => {
  let disk: SmallDisk | undefined
  let file: string
  beforeEach(async () => {
    skipUnless(smallDiskMissing() === undefined, smallDiskMissing() ?? '')
    disk = await mountSmallDisk({ bytes: 1024 * 1024, owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 } })
    file = join(disk.directory, 'a.log')
    // To the end of a page: one that is begun takes more.
    writeFileSync(file, '-'.repeat(4095) + '\n')
    await disk.leaveFree(0)
  })
  afterEach(async () => {
    await disk?.remove()
    disk = undefined
  })

  it('ends nothing, and writes the lines once there is room', async () => {
    const descriptor = openSync(file, 'a')
    try {
      const log = createLog('a', descriptor)
      log.info('one')
      log.info('two')
      expect(statSync(file).size).toBe(4096)
      await disk?.leaveFree(64 * 1024)
      log.info('three')
      const lines = readFileSync(file, 'utf8').split('\n').slice(1, -1)
      expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['one', 'two', 'three'])
    } finally {
      closeSync(descriptor)
    }
  })

  it.each([
    ['log', `log.createLog('x', 2).info('one'); log.createLog('x').info('one')`],
    ['say', `log.say('one'); log.say('two')`],
  ])('ends no process that writes it: %s', async (name, does) => {
    if (!existsSync(fileURLToPath(compiled(name)))) throw new Error(`dist/workers/${name}.js is not there: npm run build`)
    const script = `import(${JSON.stringify(compiled(name).href)}).then((log) => { ${does}; setTimeout(() => process.exit(7), 300) })`
    const descriptor = openSync(file, 'a')
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', descriptor, descriptor] })
    closeSync(descriptor)
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(7)
  })
})
