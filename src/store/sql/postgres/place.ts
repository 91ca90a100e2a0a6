import { Client } from 'pg'
import { BelayError } from '../../../domain/errors.ts'

/** Where a URL leads, without user and password: for people. Throws `invalid_config` without repeating any of it. */
export function placeOf(url: string): string {
  if (!/^postgres(?:ql)?:\/\//.test(url)) throw badUrl('it does not begin with postgresql://')
  const { host, port, database } = parse(url)
  return `${host}:${String(port)}/${database ?? ''}`
}

function parse(url: string): { host: string; port: number; database?: string | undefined } {
  try {
    return new Client({ connectionString: url })
  } catch (error) {
    // No cause and none of its words: some of these errors quote the URL.
    const isFile = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw badUrl(isFile ? 'a certificate or key that it names cannot be read' : 'it cannot be read as a URL')
  }
}

function badUrl(why: string): BelayError {
  return new BelayError({
    code: 'invalid_config',
    message: `the URL of the database is not one of PostgreSQL: ${why}`,
    hint: 'Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with what is special in the password percent-encoded.',
  })
}
