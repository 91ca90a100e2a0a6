/** Entry point: listens on PORT with what the build baked in; on SIGTERM it finishes what it has begun and exits 0. */
import { readFileSync } from 'node:fs'
import { createService } from './service.js'

const baked = JSON.parse(readFileSync(new URL('baked.json', import.meta.url), 'utf8'))
const service = createService(baked)

service.server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`version ${baked.version} listens on port ${service.server.address().port}`)
})

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await service.stop()
    console.log(`version ${baked.version} has stopped after ${service.requests} requests`)
  })
}
