/** Makes dist/: the sources, and baked.json with the version and the behaviour that this commit asks for. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const root = new URL('../', import.meta.url)
const dist = new URL('dist/', root)
const version = readFileSync(new URL('version.txt', root), 'utf8').trim()
const { buildDelayMs = 0, unhealthyAfterRequests } = JSON.parse(readFileSync(new URL('behaviour.json', root), 'utf8'))
const parts = 10

console.log(`building version ${version}`)
rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)
cpSync(new URL('src/', root), dist, { recursive: true })
writeFileSync(new URL('package.json', dist), JSON.stringify({ name: 'hello-service', type: 'module' }))
writeFileSync(new URL('baked.json', dist), JSON.stringify({ version, unhealthyAfterRequests }))

// A build that takes its time, for those who want to see one interrupted.
for (let part = 1; buildDelayMs > 0 && part <= parts; part += 1) {
  await wait(buildDelayMs / parts)
  console.log(`compiled ${part} of ${parts}`)
}
console.log('dist/ is ready')
