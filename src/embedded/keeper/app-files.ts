/** The keeper's files about applications: the environment each was given, with its secrets, and what each printed. */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { writeFileDurably } from '../../process/durable-file.ts'

export interface AppFiles {
  /** Where the output of an instance goes. */
  logFile(environment: string, instanceId: string): string
  /** Opens the log anew; what an earlier process of the instance printed is kept beside it as `.1`. The caller closes it. */
  openLog(file: string): number
  /** What was printed last, across one restart: whole lines, at most `bytes`. */
  readTail(file: string, bytes: number): string
  /** 0600: secrets must survive the keeper, which starts applications again. */
  saveEnv(instanceId: string, env: Record<string, string>): void
  loadEnv(instanceId: string): Record<string, string>
  removeEnv(instanceId: string): void
  /** Keeps the logs of the newest instances. */
  pruneLogs(environment: string): void
}

const logsKept = 20

export function createAppFiles(directory: string): AppFiles {
  const envDirectory = `${directory}/env`
  const logDirectory = (environment: string): string => `${directory}/logs/${environment}`
  const envFile = (id: string): string => `${envDirectory}/${id}.json`
  mkdirSync(envDirectory, { recursive: true, mode: 0o700 })

  return {
    logFile: (environment, id) => `${logDirectory(environment)}/${id}.log`,
    openLog(file) {
      mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 })
      if (existsSync(file)) renameSync(file, `${file}.1`)
      return openSync(file, 'a', 0o600)
    },
    readTail(file, bytes) {
      const now = readEnd(file, bytes)
      const all = now.length >= bytes ? now : Buffer.concat([readEnd(`${file}.1`, bytes - now.length), now])
      // A line cut in two may hold half a secret, which no mask would find.
      return (all.length < bytes ? all : afterFirstLine(all)).toString('utf8')
    },
    saveEnv(id, env) {
      writeFileDurably(envFile(id), JSON.stringify(env), 0o600)
    },
    loadEnv: (id) => JSON.parse(readFileSync(envFile(id), 'utf8')) as Record<string, string>,
    removeEnv(id) {
      rmSync(envFile(id), { force: true })
    },
    pruneLogs(environment) {
      // Ids begin with the time of their start, so names sort by age.
      const logs = readdirSync(logDirectory(environment))
        .filter((name) => name.endsWith('.log'))
        .sort()
      for (const name of logs.slice(0, -logsKept)) {
        rmSync(`${logDirectory(environment)}/${name}`, { force: true })
        rmSync(`${logDirectory(environment)}/${name}.1`, { force: true })
      }
    },
  }
}

function afterFirstLine(bytes: Buffer): Buffer {
  const at = bytes.indexOf('\n')
  return bytes.subarray(at === -1 ? bytes.length : at + 1)
}

function readEnd(file: string, bytes: number): Buffer {
  if (!existsSync(file)) return Buffer.alloc(0)
  const descriptor = openSync(file, 'r')
  try {
    const { size } = fstatSync(descriptor)
    const buffer = Buffer.alloc(Math.min(bytes, size))
    const read = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length)
    return buffer.subarray(0, read)
  } finally {
    closeSync(descriptor)
  }
}
