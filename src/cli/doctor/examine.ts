import { loadConfig } from '../../config/load-config.ts'
import type { Config } from '../../config/config.ts'
import { messageOf } from '../../domain/errors.ts'
import { findIdentity } from '../../process/identity.ts'
import type { Io } from '../io.ts'
import { findUpState } from '../up/up-file.ts'
import type { Finding, Machine } from './check.ts'
import { checkDatabase, checkEngines, checkHaproxy, checkRegistries } from './outside.ts'
import { checkCgroups } from './cgroups.ts'
import { checkData, checkDisk, checkPorts, checkTrust } from './machine.ts'
import { checkBundle, checkGit, checkNode, checkTemporal } from './programs.ts'

const checks = [
  ...[checkNode, checkGit, checkTemporal, checkBundle, checkEngines, checkHaproxy],
  ...[checkRegistries, checkDatabase, checkData, checkDisk, checkPorts, checkCgroups, checkTrust],
]

/** Looks at everything and changes nothing. */
export async function examine(io: Io, flags: { config?: string; data?: string }): Promise<Finding[]> {
  const { config, findings } = await checkConfig(io, flags)
  const up = config === undefined ? undefined : findUpState(config.data)
  const machine: Machine = {
    io,
    ...(config === undefined ? {} : { config }),
    upIsRunning: up !== undefined && findIdentity(up.pid) !== undefined,
  }
  for (const check of checks) findings.push(...(await check(machine)))
  return findings
}

async function checkConfig(io: Io, flags: { config?: string; data?: string }): Promise<{ config?: Config; findings: Finding[] }> {
  try {
    const { config, assumptions } = await loadConfig({ file: flags.config, data: flags.data, env: io.env, cwd: io.cwd })
    const detail = config.file ?? 'no belay.config.yml: a default for this repository'
    const assumed = assumptions.map((text): Finding => ({ name: 'config', state: 'note', detail: `assumed: ${text}` }))
    return { config, findings: [{ name: 'config', state: 'good', detail }, ...assumed] }
  } catch (error) {
    return {
      findings: [
        { name: 'config', state: 'bad', detail: messageOf(error), mend: 'Mend the lines above, or go into a Git repository.' },
      ],
    }
  }
}
