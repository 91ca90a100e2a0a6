import { expect, it } from 'vitest'
import { createMemoryLog } from '../../../test/helpers/front-door.ts'
import { tellPart } from './tell-part.ts'

it('a part that failed is told with its error and when it comes back', () => {
  const { log, logged } = createMemoryLog()
  tellPart(log)({ type: 'failed', part: 'keeper', error: new Error('the socket is in use'), restartInMs: 200 })
  expect(JSON.parse(logged())).toMatchObject({
    level: 50,
    ...{ msg: 'failed', part: 'keeper', error: 'the socket is in use', restartInMs: 200 },
  })
})
