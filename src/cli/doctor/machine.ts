import { createServer } from 'node:net'
import { existsSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { formatAddress, type Address } from '../../config/scalars.ts'
import { defaults } from '../../domain/defaults.ts'
import { knownKeysOf, type KnownKeys } from '../../payloads/payload-keys.ts'
import { findStepUser } from '../up/step-user.ts'
import type { Check, Finding } from './check.ts'

export const checkData: Check = ({ config }) => {
  if (config === undefined) return Promise.resolve([])
  const { data } = config
  if (!existsSync(data))
    return Promise.resolve([{ name: 'data', state: 'good', detail: `${data}, made by the first \`belay up\`` }])
  const status = statSync(data)
  const mode = (status.mode & 0o777).toString(8)
  const own = process.getuid === undefined || status.uid === process.getuid()
  const mend = own ? `chmod 700 ${data}` : 'Run Belay as the user that owns it, or choose another with --data.'
  return Promise.resolve([
    {
      name: 'data',
      state: own && mode === '700' ? 'good' : 'bad',
      detail: `${data}, mode ${mode}${own ? '' : ', not ours'}`,
      mend,
    },
  ])
}

const leastFree = defaults.disk.low

export const checkDisk: Check = async ({ config, io }) => {
  let directory = config?.data ?? io.cwd
  while (!existsSync(directory)) directory = dirname(directory)
  const { bavail, blocks, bsize } = await statfs(directory)
  const free = bavail * bsize
  const good = free >= leastFree.bytes && bavail / blocks >= leastFree.share
  const detail = `${(free / 1024 ** 3).toFixed(1)} GB free, ${String(Math.round((100 * bavail) / blocks))} %`
  return [
    {
      name: 'disk',
      state: good ? 'good' : 'bad',
      detail,
      mend: 'Make room: with less than 1 GB or 5 % free no run begins. `belay gc` removes what is kept no longer.',
    },
  ]
}

export const checkPorts: Check = async ({ config, upIsRunning }) => {
  if (config === undefined) return []
  if (upIsRunning) return [{ name: 'ports', state: 'good', detail: 'taken by the `belay up` that runs here' }]
  const wanted = [
    { what: 'the server', address: config.listen },
    ...Object.values(config.environments).map(({ name, edge }) => ({ what: `environment ${name}`, address: edge })),
  ]
  return await Promise.all(
    wanted.map(async ({ what, address }): Promise<Finding> => {
      const free = await canListen(address)
      const mend = `Stop what listens there, or choose another address for ${what}.`
      return {
        name: 'ports',
        state: free ? 'good' : 'bad',
        detail: `${formatAddress(address)} for ${what}${free ? '' : ' is taken'}`,
        mend,
      }
    }),
  )
}

function canListen({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, host, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}

export const checkTrust: Check = ({ config }) => {
  const user = findStepUser()
  const who = user === undefined ? 'as you' : `as uid ${String(user.uid)} (nobody), because Belay is root`
  return Promise.resolve([
    {
      name: 'isolation',
      state: 'note',
      detail: `process: steps run ${who}; only for repositories whose committers may deploy anyway`,
    },
    encryption(knownKeysOf(config?.payloadKeys ?? [])),
  ])
}

function encryption({ encrypts, knows }: KnownKeys): Finding {
  if (encrypts === undefined)
    return { name: 'encryption', state: 'note', detail: 'none: what goes through Temporal (never a secret) is stored as it is' }
  const more = knows.length === 1 ? '' : `, ${String(knows.length - 1)} more to read with`
  return { name: 'encryption', state: 'good', detail: `of what goes through Temporal: key ${encrypts}${more}` }
}
