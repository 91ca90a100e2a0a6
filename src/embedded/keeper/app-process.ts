/** One application process: started so that it outlives the keeper, watched whether it is our child or was adopted. */
import { closeSync } from 'node:fs'
import { dirname } from 'node:path'
import { findIdentity, findTagged, isAlive, type ProcessIdentity } from '../../process/identity.ts'
import { spawnProcess, stopGroup } from '../../process/spawn.ts'
import type { AppFiles } from './app-files.ts'
import type { InstanceRecord } from './keeper-state.ts'

/** Carries the instance's id in the environment of everything it starts. */
const tag = 'BELAY_INSTANCE'
const adoptedPollMs = 250
const nobody = 65_534

export interface Watched {
  identity: ProcessIdentity
  /** Resolves with words when the process has ended; never for one that is no longer watched. */
  ended: Promise<string>
  /** Looks no further. */
  unwatch(): void
}

/** Starts it with what the record says. The identity returned is not recorded yet: see `killUnrecorded`. */
export async function startApp(record: InstanceRecord, files: AppFiles): Promise<Watched> {
  const [file = '', ...args] = record.command
  const log = files.openLog(record.log)
  try {
    const child = await spawnProcess({
      file,
      args,
      cwd: record.workingDirectory,
      env: { PATH: hostPath(), ...files.loadEnv(record.id), PORT: String(record.port), [tag]: record.id },
      output: log,
      outlive: true,
      user: userFor(record.user),
    })
    const ended = child.done.then(({ exitCode, signal }) =>
      signal === undefined ? `exited with code ${String(exitCode)}` : `was ended by ${signal}`,
    )
    return { identity: child.identity, ended, unwatch: () => undefined }
  } finally {
    closeSync(log)
  }
}

/** Watches a process that an earlier keeper started: there is no exit code to be had, only that it is gone. */
export function adoptApp(identity: ProcessIdentity): Watched {
  let timer: NodeJS.Timeout | undefined
  const ended = new Promise<string>((resolve) => {
    timer = setInterval(() => {
      if (isAlive(identity)) return
      clearInterval(timer)
      resolve('ended')
    }, adoptedPollMs)
  })
  return {
    identity,
    ended,
    unwatch() {
      clearInterval(timer)
    },
  }
}

/** Stops what a keeper started but could not record before it was killed. */
export async function killUnrecorded(instanceId: string): Promise<void> {
  const left = findTagged(tag, instanceId).flatMap((pid) => findIdentity(pid) ?? [])
  await Promise.all(left.map((identity) => stopGroup(identity, 0)))
}

/** Programs of the host: the directory of this Node, then the usual ones. */
export function hostPath(): string {
  return [...new Set([dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'])].join(':')
}

/** As whom a release runs that asks for this user, or for none. */
export function userFor(user: InstanceRecord['user']): { uid: number; gid: number } | undefined {
  return process.getuid?.() === 0 ? (user ?? { uid: nobody, gid: nobody }) : undefined
}
