import { Command, Option } from 'commander'
import type { Client } from '../api/client.ts'
import { tokenRoles, type CreateToken, type TokenView } from '../api/token-schemas.ts'
import { clientCommand, type CommonFlags } from './command.ts'
import { connect } from './connect.ts'
import { cell, formatTime, printJson, printTable } from './format.ts'
import type { Io } from './io.ts'

/** Tokens of people, programs and runners; all three need an admin's. */
export function tokenCommand(io: Io): Command {
  return new Command('token')
    .description('make, list and revoke tokens')
    .addCommand(createCommand(io))
    .addCommand(listCommand(io))
    .addCommand(revokeCommand(io))
}

interface CreateFlags extends CommonFlags {
  role: CreateToken['role']
  expiresIn?: string
  replace?: true
}

function createCommand(io: Io): Command {
  return clientCommand('create', 'make a token and print it, this once', io)
    .argument('<name>', 'whose or what for: a-z, 0-9 and . _ : -')
    .addOption(new Option('-r, --role <role>', 'what it may do').choices(tokenRoles).makeOptionMandatory())
    .option('-e, --expires-in <time>', 'how long it is valid: 12h, 30d (default: until it is revoked)')
    .option('--replace', 'if there is one of this name: that one ends')
    .addHelpText('after', '\nOnly the token goes to stdout: TOKEN=$(belay token create ci --role operator)')
    .action(async (name: string, flags: CreateFlags) => {
      const { role, expiresIn, replace } = flags
      const created = await connect(flags, io).createToken({
        ...{ name, role },
        ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
        ...(replace === undefined ? {} : { replace }),
      })
      if (flags.json === true) printJson(io, created)
      else io.out(`${created.token}\n`)
      const until = created.expiresAt === undefined ? '' : `, valid until ${formatTime(created.expiresAt)}`
      io.err(`token "${created.name}" of role ${created.role}${until}: it is not shown again\n`)
    })
}

function listCommand(io: Io): Command {
  return clientCommand('list', 'list the tokens that are not revoked, newest first', io).action(async (flags: CommonFlags) => {
    const items = await listAll(connect(flags, io))
    if (flags.json === true) {
      printJson(io, { items })
      return
    }
    const rows = items.map(({ name, role, createdAt, expiresAt }) => [
      cell(name, 64),
      role,
      formatTime(createdAt),
      expiresAt === undefined ? 'never' : `${formatTime(expiresAt)}${expiresAt <= Date.now() ? ' (expired)' : ''}`,
    ])
    printTable(io, [['NAME', 'ROLE', 'CREATED', 'EXPIRES'], ...rows])
  })
}

function revokeCommand(io: Io): Command {
  return clientCommand('revoke', 'end a token at once', io)
    .argument('<name>')
    .action(async (name: string, flags: CommonFlags) => {
      await connect(flags, io).revokeToken(name)
      if (flags.json === true) printJson(io, { name, revoked: true })
      else io.out(`token "${cell(name, 64)}" is revoked\n`)
    })
}

async function listAll(client: Client): Promise<TokenView[]> {
  const items: TokenView[] = []
  let cursor: string | undefined
  do {
    const page = await client.listTokens({ limit: 200, ...(cursor === undefined ? {} : { cursor }) })
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return items
}
