import type { Client, RunRef } from '../api/client.ts'
import { BelayError } from '../domain/errors.ts'

/** A run as people name it: its id, or its number, which needs a project unless there is only one. */
export async function findRunRef(client: Client, text: string, project: string | undefined): Promise<RunRef> {
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(text)) return { id: text }
  const number = text.replace(/^#/, '')
  if (!/^[1-9]\d{0,8}$/.test(number)) {
    throw new BelayError({
      code: 'invalid_input',
      message: `"${text}" is neither the number nor the id of a run`,
      hint: '`belay runs` lists them.',
    })
  }
  return { id: number, project: project ?? (await findOnlyProject(client)) }
}

/** Throws `invalid_input` with their names if there are several. */
export async function findOnlyProject(client: Client): Promise<string> {
  const { items } = await client.listProjects()
  const [only] = items
  if (only !== undefined && items.length === 1) return only.name
  throw new BelayError({
    code: 'invalid_input',
    message:
      items.length === 0
        ? 'the server has no project'
        : `which project? The server has ${items.map(({ name }) => name).join(', ')}`,
    hint: 'Name it with --project.',
  })
}
