/** Which server, and with which token: flags over environment over the data directory's files over defaults. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { createClient, type Client } from '../api/client.ts'
import { configFileName } from '../config/load-config.ts'
import { adminTokenFile } from '../config/token-files.ts'
import { parseYaml } from '../config/yaml-positions.ts'
import { BelayError } from '../domain/errors.ts'
import type { Io } from './io.ts'
import { findUpState, upFile } from './up/up-file.ts'

export interface ConnectFlags {
  url?: string
  tokenFile?: string
  data?: string
}

/** A setting, and what set it. */
interface Setting {
  value: string
  from: string
}

export interface Connection {
  url: Setting
  /** Absent: none was found. */
  token?: Setting
}

const defaultUrl = 'http://127.0.0.1:8080'

export function resolveConnection(flags: ConnectFlags, io: Pick<Io, 'env' | 'cwd'>): Connection {
  const data = findData(flags, io)
  const up = data === undefined ? undefined : findUpState(data)
  const url = findUrl(flags, io, data, up?.url)
  const token = findToken(flags, io) ?? findLocalToken(io, data, url, up?.url)
  return { url, ...(token === undefined ? {} : { token }) }
}

/** Throws `unauthenticated` if there is no token to be had. */
export function connect(flags: ConnectFlags, io: Io): Client {
  const { url, token } = resolveConnection(flags, io)
  if (token !== undefined) return createClient({ url: url.value, token: token.value })
  throw new BelayError({
    code: 'unauthenticated',
    message: `there is no token for ${url.value}`,
    hint: 'Set BELAY_TOKEN, name a file with --token-file, or start Belay here with `belay up`.',
  })
}

function findUrl(
  flags: ConnectFlags,
  io: Pick<Io, 'env' | 'cwd'>,
  data: string | undefined,
  running: string | undefined,
): Setting {
  if (flags.url !== undefined) return { value: flags.url, from: '--url' }
  const fromEnv = io.env['BELAY_URL']
  if (fromEnv) return { value: fromEnv, from: 'BELAY_URL' }
  if (data !== undefined && running !== undefined) return { value: running, from: shown(io, upFile(data)) }
  return { value: defaultUrl, from: 'default' }
}

function findToken(flags: ConnectFlags, io: Pick<Io, 'env' | 'cwd'>): Setting | undefined {
  if (flags.tokenFile !== undefined) {
    const file = resolve(io.cwd, flags.tokenFile)
    if (!existsSync(file)) throw new BelayError({ code: 'invalid_input', message: `there is no token file ${file}` })
    return { value: readFileSync(file, 'utf8').trim(), from: '--token-file' }
  }
  const fromEnv = io.env['BELAY_TOKEN']
  return fromEnv ? { value: fromEnv, from: 'BELAY_TOKEN' } : undefined
}

/** The admin's token of this machine goes to the server of this machine only. */
function findLocalToken(
  io: Pick<Io, 'cwd'>,
  data: string | undefined,
  url: Setting,
  running: string | undefined,
): Setting | undefined {
  if (data === undefined || url.value !== (running ?? defaultUrl)) return undefined
  const file = adminTokenFile({ data })
  return existsSync(file) ? { value: readFileSync(file, 'utf8'), from: shown(io, file) } : undefined
}

/** `--data`, BELAY_DATA, or from here upwards what a configuration or an earlier `up` says. */
function findData(flags: ConnectFlags, io: Pick<Io, 'env' | 'cwd'>): string | undefined {
  const said = flags.data ?? io.env['BELAY_DATA']
  if (said) return resolve(io.cwd, said)
  for (let directory = resolve(io.cwd); ; directory = dirname(directory)) {
    const data = join(directory, dataInConfig(join(directory, configFileName)) ?? '.belay')
    if (existsSync(adminTokenFile({ data }))) return data
    if (dirname(directory) === directory) return undefined
  }
}

/** Only this one key: whatever else may be wrong with the file is for `up` and `doctor` to say. */
function dataInConfig(file: string): string | undefined {
  if (!existsSync(file)) return undefined
  const yaml = parseYaml(readFileSync(file, 'utf8'))
  if (Array.isArray(yaml) || typeof yaml.data !== 'object' || yaml.data === null) return undefined
  const { data } = yaml.data as { data?: unknown }
  return typeof data === 'string' ? data : undefined
}

function shown(io: Pick<Io, 'cwd'>, file: string): string {
  const path = relative(io.cwd, file)
  return path.startsWith('..') ? file : path
}
