import type { Config } from '../../config/config.ts'
import { formatAddress, parseAddress } from '../../config/scalars.ts'
import { BelayError } from '../../domain/errors.ts'
import { findFreePort } from '../../process/free-port.ts'

/** What `--listen` says wins; port 0 is any free one. A public URL that was written down stays. */
export async function takeListen(config: Config, flag: string | undefined): Promise<Config> {
  if (flag === undefined) return config
  const asked = parseAddress(flag)
  if (asked === undefined) {
    throw new BelayError({
      code: 'invalid_input',
      message: `--listen ${flag} is not host:port`,
      hint: 'For example 127.0.0.1:8080.',
    })
  }
  const listen = asked.port === 0 ? { host: asked.host, port: await findFreePort() } : asked
  const byDefault = config.publicUrl === `http://${formatAddress(config.listen)}`
  return { ...config, listen, publicUrl: byDefault ? `http://${formatAddress(listen)}` : config.publicUrl }
}
