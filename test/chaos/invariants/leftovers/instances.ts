/** Of an environment one instance is there, the one that serves; and of the others no file with what they were given. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '../../../../src/process/identity.ts'
import type { Memory } from '../../memory.ts'
import type { Leftovers } from '../nothing-is-left.ts'

export function findInstances({ environments, world }: Memory): Leftovers {
  const left: Leftovers['left'] = []
  let looked = 0
  for (const { name, keeper } of environments) {
    const instances = keeper?.instances ?? []
    looked += 1 + instances.length
    const about = `environment ${name}`
    const serving = instances.filter(({ digest, stopping }) => digest === keeper?.active && !stopping)
    for (const { id, digest } of instances.filter((instance) => !serving.includes(instance))) {
      left.push({ about, facts: `the keeper still has the instance ${id} of ${digest}; ${String(keeper?.active)} serves` })
    }
    if (serving.length > 1)
      left.push({
        about,
        facts: `the release that serves has ${String(serving.length)} instances: ${serving.map(({ id }) => id).join(', ')}`,
      })
    for (const { id, identity } of serving) {
      if (identity === undefined || !isAlive(identity))
        left.push({ about, facts: `the instance ${id}, which is to serve, is not alive` })
    }
  }
  const known = new Set(environments.flatMap(({ keeper }) => keeper?.instances.map(({ id }) => `${id}.json`) ?? []))
  const directory = join(world.places.keeper, 'env')
  const files = existsSync(directory) ? readdirSync(directory) : []
  for (const file of files.filter((name) => !known.has(name))) {
    left.push({ about: join(directory, file), facts: 'holds the variables of an instance that is gone' })
  }
  return { looked: looked + files.length, left }
}
