/** As whom a container runs: never as root. */
import { buffer } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import { BelayError } from '../../../domain/errors.ts'
import { copyOutArgs, nobody } from './docker-args.ts'
import { lastLines, says, type DockerProgram } from './docker-program.ts'

/** The image's own user if it has one that is not plainly root, else nobody. */
export function chooseUser(imageUser: string): string {
  const [user = ''] = imageUser.split(':')
  return user === '' || user === 'root' || Number(user) === 0 ? nobody : imageUser
}

/**
 * A user's name says nothing: the image's own list says which number it has. Throws `refused` unless that is above 0;
 * `gone`: there is no such container any more.
 */
export async function refuseRoot(docker: DockerProgram, container: string, user: string): Promise<'checked' | 'gone'> {
  const [name = ''] = user.split(':')
  if (readUid(name) > 0) return 'checked'
  const copied = await docker.run(copyOutArgs(container, '/etc/passwd'))
  if (says.noContainer(copied)) return 'gone'
  // The engine would not find the name either; but what is not known is not started.
  if (copied.exitCode !== 0) throw refused(`the image's user ${name} has no number: ${lastLines(copied)}`)
  const uids = listUids(await readFile(copied.output), name)
  if (uids.length === 0) throw refused(`the image's user ${name} is not in its /etc/passwd`)
  if (uids.every((uid) => uid > 0)) return 'checked'
  throw refused(`the image's user ${name} is user 0, and applications do not run as root`)
}

/**
 * The numbers that a list gives to a name. As engines read it: a line may begin with blanks, and what is no number is 0. All lines of
 * that name, as they may not agree with us about what a blank is, and so about which line is the first.
 */
export function listUids(passwd: string, name: string): number[] {
  const lines = passwd.split('\n').map((line) => line.replaceAll(blanks, '').split(':'))
  return lines.filter(([user]) => user === name).map(([, , uid]) => readUid(uid))
}

const blanks = /^[\s\u0085]+|[\s\u0085]+$/g

/** 0 for what is no number or too large: cut to 32 bits it may be 0. */
function readUid(text = ''): number {
  const uid = /^\d{1,10}$/.test(text) ? Number(text) : 0
  return uid < 2 ** 31 ? uid : 0
}

async function readFile(tar: Buffer): Promise<string> {
  const entries = extract()
  entries.end(tar)
  let text = ''
  for await (const entry of entries) {
    const content = await buffer(entry)
    if (entry.header.type === 'file') text += content.toString('utf8')
  }
  return text
}

function refused(message: string): BelayError {
  const hint = 'Give the image another `USER`, or none: it then runs as nobody.'
  return new BelayError({ code: 'refused', message, hint })
}
