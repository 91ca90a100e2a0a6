/** As whom a container runs: never as root. */
import { buffer } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import { BelayError } from '../../../domain/errors.ts'
import { copyOutArgs, nobody } from './docker-args.ts'
import type { DockerProgram } from './docker-program.ts'

/** The image's own user if it has one that is not plainly root, else nobody. */
export function chooseUser(imageUser: string): string {
  const [user = ''] = imageUser.split(':')
  return user === '' || user === 'root' || Number(user) === 0 ? nobody : imageUser
}

/** A user's name says nothing: the image's own list says which number it has. Throws `refused` for 0. */
export async function refuseRoot(docker: DockerProgram, container: string, user: string): Promise<void> {
  const [name = ''] = user.split(':')
  if (/^\d+$/.test(name)) return
  const copied = await docker.run(copyOutArgs(container, '/etc/passwd'))
  // No such list: the engine will not find the name either, and says so at the start.
  if (copied.exitCode !== 0 || (await findUid(copied.output, name)) !== 0) return
  throw new BelayError({
    code: 'refused',
    message: `the image's user ${name} is user 0, and applications do not run as root`,
    hint: 'Give the image another `USER`, or none: it then runs as nobody.',
  })
}

async function findUid(tar: Buffer, name: string): Promise<number | undefined> {
  const entries = extract()
  entries.end(tar)
  for await (const entry of entries) {
    const text = (await buffer(entry)).toString('utf8')
    const fields = text.split('\n').map((line) => line.split(':')).find(([user]) => user === name) // prettier-ignore
    if (fields?.[2] !== undefined) return Number(fields[2])
  }
  return undefined
}
